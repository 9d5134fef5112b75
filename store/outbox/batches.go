package outbox

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"partnersync/store/plural"
)

// changedBatch is the newest change of a batch.
type changedBatch struct {
	EventData
	Removed bool
}

// kind returns the type of the event; "" if the change is not an event, such as the return of a batch as it was.
func (b changedBatch) kind() string {
	switch status := terminal(b.Status); {
	case b.Removed:
		return BatchRemoved
	case status == terminal(b.FromStatus):
		return ""
	case status == "finished":
		return BatchFinished
	case status == "finished_with_errors":
		return BatchFinishedWithErrors
	}
	return ""
}

// terminal returns a status in the form in which it is compared with the terminal ones.
func terminal(status *string) string {
	if status == nil {
		return ""
	}
	return strings.ReplaceAll(strings.ToLower(*status), "-", "_")
}

// EnqueueBatchChanges puts the newest changes of the customer's batches with these ids into the outbox, and reports
// whether there were any. First versions are not events, since partnersync cannot know how old they are. Without ids or
// subscribers it runs no statement.
func (o *Outbox) EnqueueBatchChanges(
	ctx context.Context, tx pgx.Tx, partner, customerID string, batchIDs []string,
) (enqueued bool, err error) {
	const query = `
		SELECT b.customer_id::text, c.company_name, b.batch_id, b.status, v.status AS from_status, b.devices_count,
		       b.created_by, b.creation_date, b.not_before AS changed_after, b.valid_from AS changed_by,
		       b.removed_at IS NOT NULL AS removed
		FROM partner_center.device_batches b
		JOIN partner_center.device_batch_versions v
		  ON v.customer_id = b.customer_id AND v.batch_id = b.batch_id AND v.valid_to = b.valid_from
		LEFT JOIN partner_center.customers c ON c.customer_id = b.customer_id
		WHERE b.customer_id = @customer_id::uuid AND b.batch_id = ANY (@batch_ids::text[])
		ORDER BY b.batch_id`
	subscribers := o.subscribers(partner, BatchFinished, BatchFinishedWithErrors, BatchRemoved)
	if len(subscribers) == 0 || len(batchIDs) == 0 {
		return false, nil
	}
	args := pgx.NamedArgs{"customer_id": customerID, "batch_ids": batchIDs}
	rows, _ := tx.Query(ctx, query, args) // CollectRows returns its error
	changed, err := pgx.CollectRows(rows, pgx.RowToStructByNameLax[changedBatch])
	if err != nil {
		return false, fmt.Errorf("reading the changes of %s: %w", plural.Of(len(batchIDs), "batch", "batches"), err)
	}
	var events []event
	for _, b := range changed {
		id, kind := uuid.New(), b.kind()
		b.Partner = partner
		for _, e := range subscribers {
			if kind != "" && e.subscribes(kind, partner) {
				events = append(events, event{endpoint: e.Name, kind: kind, id: id, data: b.EventData})
			}
		}
	}
	return len(events) > 0, enqueue(ctx, tx, events)
}
