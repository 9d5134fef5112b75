-- +goose Up
-- What the configuration says of each partner, as far as judging how the sync goes needs it: partnersync status reads it
-- without the configuration file. Never a secret.
CREATE TABLE partnersync.partner_settings (
    partner       text        COLLATE "C" PRIMARY KEY,
    schedule      text        NOT NULL,
    timezone      text        NOT NULL,
    endpoints     text[]      NOT NULL,
    configured_at timestamptz NOT NULL,
    requests_per_minute integer NOT NULL DEFAULT 0
);
COMMENT ON TABLE partnersync.partner_settings IS
    'The partners in the configuration of the daemon that started last. Empty until a daemon has run.';
COMMENT ON COLUMN partnersync.partner_settings.partner IS 'The partner''s name in the configuration.';
COMMENT ON COLUMN partnersync.partner_settings.schedule IS 'When its passes are: five cron fields, or such as @hourly or @every 15m.';
COMMENT ON COLUMN partnersync.partner_settings.timezone IS 'IANA name of the time zone of the schedule.';
COMMENT ON COLUMN partnersync.partner_settings.endpoints IS 'The webhooks that are notified of events of this partner: names of entries under notify.';
COMMENT ON COLUMN partnersync.partner_settings.requests_per_minute IS 'The limit of the rate; 0: there is none.';
COMMENT ON COLUMN partnersync.partner_settings.configured_at IS 'When a daemon first started with this partner.';

-- +goose Down
DROP TABLE partnersync.partner_settings;
