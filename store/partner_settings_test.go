package store

import (
	"testing"

	"partnersync/store/outbox"
)

func TestWritePartnerSettings_areThoseOfTheConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := New(w.pool, Options{Endpoints: []outbox.Endpoint{{Name: "chat"}, {Name: "tickets", Partners: []string{"fabrikam"}}}})
	write := func(partners ...PartnerSettings) {
		t.Helper()
		w.ok(s.WritePartnerSettings(t.Context(), partners))
	}
	const settings = `
		SELECT concat_ws('|', partner, schedule, timezone, endpoints::text, configured_at < now())
		FROM partnersync.partner_settings
		ORDER BY partner`
	write(PartnerSettings{"contoso", "@hourly", "UTC", 0}, PartnerSettings{"fabrikam", "*/15 * * * *", "Asia/Tokyo", 0})
	w.want("contoso|@hourly|UTC|{chat}|t\nfabrikam|*/15 * * * *|Asia/Tokyo|{chat,tickets}|t", settings)

	w.exec("UPDATE partnersync.partner_settings SET configured_at = now() - interval '1 day'")
	write(PartnerSettings{"contoso", "@every 5m", "UTC", 0}) // fabrikam has left the configuration
	w.want("contoso|@every 5m|UTC|{chat}|t", settings)
	w.want("true", "SELECT (configured_at < now() - interval '23 hours')::text FROM partnersync.partner_settings")

	written := func() int64 {
		return w.statistic("SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint FROM pg_stat_user_tables WHERE relname = 'partner_settings'")
	}
	before := written()
	write(PartnerSettings{"contoso", "@every 5m", "UTC", 0}) // another replica, or a restart
	if after := written(); after != before {
		t.Errorf("%d rows written for the same settings", after-before)
	}
	write()
	w.want("0", "SELECT count(*) FROM partnersync.partner_settings")
}
