-- +goose Up
ALTER TABLE partnersync.list_state
    ALTER COLUMN observed_at DROP NOT NULL,
    ADD COLUMN batch_status        text,
    ADD COLUMN batch_devices_count integer,
    ADD COLUMN stale               boolean NOT NULL DEFAULT false,
    ADD COLUMN received_id         bytea;
COMMENT ON COLUMN partnersync.list_state.batch_status IS 'Of a device list: the batch''s status at the last complete listing.';
COMMENT ON COLUMN partnersync.list_state.batch_devices_count IS 'Of a device list: the batch''s devices_count at the last complete listing.';
COMMENT ON COLUMN partnersync.list_state.stale IS 'Of a device list: it has to be read again, because the last read failed or was held, or because the batch was removed.';
COMMENT ON COLUMN partnersync.list_state.received_id IS 'Of a device list: the batch''s id as received, for requests, where it could not be stored unchanged.';

ALTER TABLE partnersync.customer_state
    ADD COLUMN devices_due_at        timestamptz,
    ADD COLUMN devices_refresh       interval,
    ADD COLUMN scheduled_devices_run bigint NOT NULL DEFAULT 0,
    ADD COLUMN once_devices_run      bigint NOT NULL DEFAULT 0,
    ADD COLUMN backfill_devices_run  bigint NOT NULL DEFAULT 0,
    ADD COLUMN scheduled_outcome     text CHECK (scheduled_outcome IN ('ok', 'failed', 'waits')),
    ADD COLUMN once_outcome          text CHECK (once_outcome IN ('ok', 'failed', 'waits')),
    ADD COLUMN backfill_outcome      text CHECK (backfill_outcome IN ('ok', 'failed', 'waits'));
COMMENT ON COLUMN partnersync.customer_state.devices_due_at IS 'When the first of the customer''s device lists has to be read again; null if it has none.';
COMMENT ON COLUMN partnersync.customer_state.devices_refresh IS 'The setting of the same name that devices_due_at was computed with; null: never computed.';
COMMENT ON COLUMN partnersync.customer_state.scheduled_devices_run IS 'The last scheduled run that has been through the customer''s device lists.';
COMMENT ON COLUMN partnersync.customer_state.once_devices_run IS 'The last run of kind once that has been through them.';
COMMENT ON COLUMN partnersync.customer_state.backfill_devices_run IS 'The last backfill that has been through them.';
COMMENT ON COLUMN partnersync.customer_state.scheduled_outcome IS 'How scheduled_run counts the customer; waits: until its device lists are read.';
COMMENT ON COLUMN partnersync.customer_state.once_outcome IS 'How once_run counts the customer.';
COMMENT ON COLUMN partnersync.customer_state.backfill_outcome IS 'How backfill_run counts the customer.';

-- +goose Down
ALTER TABLE partnersync.customer_state
    DROP COLUMN backfill_outcome, DROP COLUMN once_outcome, DROP COLUMN scheduled_outcome,
    DROP COLUMN backfill_devices_run, DROP COLUMN once_devices_run, DROP COLUMN scheduled_devices_run,
    DROP COLUMN devices_refresh, DROP COLUMN devices_due_at;
DELETE FROM partnersync.list_state WHERE observed_at IS NULL;
ALTER TABLE partnersync.list_state
    DROP COLUMN received_id, DROP COLUMN stale, DROP COLUMN batch_devices_count, DROP COLUMN batch_status,
    ALTER COLUMN observed_at SET NOT NULL;
