-- +goose Up
ALTER TABLE partnersync.list_state ADD COLUMN counted_run bigint;
COMMENT ON COLUMN partnersync.list_state.counted_run IS 'The last run whose counts have the list''s rows in them: one that reads the list again, after the database went away in the middle, does not count its unchanged rows twice.';

-- +goose Down
ALTER TABLE partnersync.list_state DROP COLUMN counted_run;
