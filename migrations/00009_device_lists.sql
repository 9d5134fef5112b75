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
    ADD COLUMN devices_due_at       timestamptz,
    ADD COLUMN devices_refresh      interval,
    ADD COLUMN devices_pending      boolean NOT NULL DEFAULT false,
    ADD COLUMN devices_run          bigint  NOT NULL DEFAULT 0,
    ADD COLUMN devices_backfill_run bigint  NOT NULL DEFAULT 0;
COMMENT ON COLUMN partnersync.customer_state.devices_due_at IS 'When the first of the customer''s device lists has to be read again; null if it has none.';
COMMENT ON COLUMN partnersync.customer_state.devices_refresh IS 'The setting of the same name that devices_due_at was computed with; null: never computed.';
COMMENT ON COLUMN partnersync.customer_state.devices_pending IS 'The other lists are read, and the outcome waits for the device lists.';
COMMENT ON COLUMN partnersync.customer_state.devices_run IS 'The last run, backfills apart, that has been through the customer''s device lists.';
COMMENT ON COLUMN partnersync.customer_state.devices_backfill_run IS 'The last backfill that has been through them.';

-- +goose Down
ALTER TABLE partnersync.customer_state
    DROP COLUMN devices_backfill_run, DROP COLUMN devices_run, DROP COLUMN devices_pending, DROP COLUMN devices_refresh, DROP COLUMN devices_due_at;
DELETE FROM partnersync.list_state WHERE observed_at IS NULL;
ALTER TABLE partnersync.list_state
    DROP COLUMN received_id, DROP COLUMN stale, DROP COLUMN batch_devices_count, DROP COLUMN batch_status,
    ALTER COLUMN observed_at SET NOT NULL;
