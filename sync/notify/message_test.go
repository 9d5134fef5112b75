package notify

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"partnersync/store/outbox"
	"partnersync/store/sanitize"
)

const alpha = "47021739-3426-40bf-9601-61b4b6d7c793"

func ptr[T any](v T) *T { return &v }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// examples has one notification of each type, as deploy/webhooks.md shows them.
var examples = []struct {
	notification outbox.Notification
	text         string
}{
	{of(outbox.BatchFinished,
		outbox.EventData{BatchID: "Sales laptops", Status: ptr("finished"), FromStatus: ptr("processing"),
			DevicesCount: ptr(int32(25))}),
		"Batch `Sales laptops` of customer `Contoso` (" + alpha + ") is finished, with 25 devices."},
	{of(outbox.BatchFinishedWithErrors, outbox.EventData{BatchID: "Sales laptops", Status: ptr("finished_with_errors")}),
		"Batch `Sales laptops` of customer `Contoso` (" + alpha + ") is finished with errors."},
	{of(outbox.BatchStuck, outbox.EventData{BatchID: "Sales laptops", Status: ptr("queued"), StatusSince: &noon}),
		"Batch `Sales laptops` of customer `Contoso` (" + alpha + ") is in status `queued` since 2026-03-01 12:00 UTC."},
	{of(outbox.BatchRemoved, outbox.EventData{BatchID: "Sales laptops"}),
		"Batch `Sales laptops` of customer `Contoso` (" + alpha + ") was removed; its last status was none."},
	{of(outbox.CustomerFailing,
		outbox.EventData{ConsecutiveFailures: 3, FailingSince: &noon, Error: "no relationship", RequestID: "1a2b"}),
		"Customer `Contoso` (" + alpha +
			") has failed in 3 passes in a row, since 2026-03-01 12:00 UTC: `no relationship` (request `1a2b`)"},
	{of(outbox.CustomerRecovered, outbox.EventData{FailingSince: &noon}),
		"Customer `Contoso` (" + alpha + ") is read again, after failing since 2026-03-01 12:00 UTC."},
	{outbox.Notification{Type: outbox.SignInFailed,
		Data: outbox.EventData{Partner: "contoso", Error: "AADSTS7000215: wrong secret"}},
		"Partner `contoso` cannot sign in: `AADSTS7000215: wrong secret`"},
	{of("batch.of_tomorrow", outbox.EventData{}), "batch.of_tomorrow: customer `Contoso` (" + alpha + ")"},
}

// of returns a notification about the customer Contoso.
func of(kind string, d outbox.EventData) outbox.Notification {
	d.Partner, d.CustomerID, d.CompanyName = "contoso", alpha, ptr("Contoso")
	return outbox.Notification{Type: kind, MessageID: "7d9e0f7c-9a3a-4b0e-8a53-0d1f5f1f4a11", CreatedAt: noon, Data: d}
}

func TestMessage_textIsOneReadableLine(t *testing.T) {
	t.Parallel()
	for _, tt := range examples {
		t.Run(tt.notification.Type, func(t *testing.T) {
			t.Parallel()
			body, contentType, err := message(Text, "", []outbox.Notification{tt.notification})
			if err != nil || contentType != "application/json; charset=utf-8" {
				t.Fatalf("type %s, error %v", contentType, err)
			}
			var got map[string]string
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[string]string{"text": tt.text}, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestMessage_cloudEvent(t *testing.T) {
	t.Parallel()
	n := of(outbox.BatchFinished, outbox.EventData{BatchID: "a/b <ü> \"c\"", Status: ptr("finished"), ChangedBy: &noon})
	n.Data.Partner = "Müller & Söhne"
	body, contentType, err := message(CloudEvents, "", []outbox.Notification{n})
	if err != nil || contentType != "application/cloudevents+json; charset=utf-8" {
		t.Fatalf("type %s, error %v", contentType, err)
	}
	var got map[string]any
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"specversion": "1.0", "id": n.MessageID, "type": "batch.finished", "time": "2026-03-01T12:00:00Z",
		"datacontenttype": "application/json",
		"source":          "/partners/M%C3%BCller%20&%20S%C3%B6hne",
		"subject":         "/customers/" + alpha + "/deviceBatches/a%2Fb%20%3C%C3%BC%3E%20%22c%22",
		"data": map[string]any{
			"partner": "Müller & Söhne", "customer_id": alpha, "company_name": "Contoso", "batch_id": "a/b <ü> \"c\"",
			"status": "finished", "changed_by": "2026-03-01T12:00:00Z",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestMessage_hasNothingUnprintable(t *testing.T) {
	t.Parallel()
	const name = "\x1b[31mred\u009b2J right\u202eto left\u2028\U000e0041"
	for _, tt := range examples {
		n := tt.notification
		n.Data.CompanyName, n.Data.Error, n.Data.Status, n.Data.CreatedBy, n.Data.RequestID = ptr(name), name, ptr(name),
			ptr(name), name
		n.Type, n.Data.BatchID = n.Type+name, n.Data.BatchID+name
		for _, format := range Formats() {
			body, _, err := message(format, "https://sync.example.com", []outbox.Notification{n})
			if err != nil {
				t.Fatal(err)
			}
			if i := strings.IndexFunc(string(body), func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
				t.Errorf("%s, %s: not printable from %q on", tt.notification.Type, format, body[i:])
			}
			var read struct{ Data outbox.EventData }
			if err := json.Unmarshal(body, &read); err != nil || format == CloudEvents && *read.Data.CompanyName != name {
				t.Errorf("%s, %s: read back %+v (%v)", tt.notification.Type, format, read, err)
			}
		}
	}
}

func TestMessage_hasASubjectWhereThereIsOne(t *testing.T) {
	t.Parallel()
	tests := []struct {
		data outbox.EventData
		want string
	}{
		{outbox.EventData{Partner: "contoso"}, ""},
		{outbox.EventData{Partner: "contoso", CustomerID: alpha}, "/customers/" + alpha},
		{outbox.EventData{Partner: "contoso", CustomerID: alpha, BatchID: ".."}, "/customers/" + alpha + "/deviceBatches/.."},
	}
	for _, tt := range tests {
		if got := subject(tt.data); got != tt.want {
			t.Errorf("subject %q, want %q", got, tt.want)
		}
	}
}

// FuzzText checks that no name can leave its line or its code.
func FuzzText(f *testing.F) {
	for _, seed := range []string{"Contoso", "", "<!channel>", "`*bold*`", "\x1b[31mred\x1b[0m", "a\u202eb\u2028c\r\nd",
		"\xff", "&lt;"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		for _, tt := range examples {
			n := tt.notification
			n.Data.CompanyName, n.Data.Error, n.Data.Status = &name, name, &name
			if n.Data.BatchID != "" {
				n.Data.BatchID = name + "x"
			}
			got := text(n)
			if i := strings.IndexFunc(got, func(r rune) bool { return r == '\n' || !sanitize.Printable(r) }); i >= 0 ||
				!utf8.ValidString(got) {
				t.Errorf("unprintable at %d: %q", i, got)
			}
			if strings.ContainsAny(got, "<>") || strings.Count(got, "`")%2 != 0 || strings.Count(got, "`") > 6 {
				t.Errorf("markup: %q", got)
			}
		}
	})
}
