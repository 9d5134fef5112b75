-- +goose Up
CREATE TABLE partnersync.user_sign_ins (
    partner         text        COLLATE "C" PRIMARY KEY,
    user_name       text,
    signed_in_at    timestamptz,
    sealed_token    bytea,
    previous_token  bytea,
    rotated_at      timestamptz,
    leased_by       uuid,
    lease_epoch     bigint      NOT NULL DEFAULT 0,
    leased_until    timestamptz,
    CHECK (sealed_token IS NULL OR signed_in_at IS NOT NULL AND rotated_at IS NOT NULL)
);
COMMENT ON TABLE partnersync.user_sign_ins IS
    'The users on whose behalf partners are read, and their refresh tokens, sealed to the key in token_key_file: without that file they are of no use.';
COMMENT ON COLUMN partnersync.user_sign_ins.partner IS 'The partner''s name in the configuration.';
COMMENT ON COLUMN partnersync.user_sign_ins.user_name IS 'Who has signed in, as the authority names him; null if it does not.';
COMMENT ON COLUMN partnersync.user_sign_ins.signed_in_at IS 'When he did.';
COMMENT ON COLUMN partnersync.user_sign_ins.sealed_token IS 'The newest refresh token, sealed by age; null: nobody is signed in.';
COMMENT ON COLUMN partnersync.user_sign_ins.previous_token IS 'The one before, likewise, should the newest not be taken.';
COMMENT ON COLUMN partnersync.user_sign_ins.rotated_at IS 'When the newest refresh token was received; it ends after 90 days without use.';
COMMENT ON COLUMN partnersync.user_sign_ins.leased_by IS 'The worker that is exchanging the token; null: nobody.';
COMMENT ON COLUMN partnersync.user_sign_ins.lease_epoch IS 'Incremented by each lease and each sign-in; a token under an older one is not stored.';
COMMENT ON COLUMN partnersync.user_sign_ins.leased_until IS 'When another worker may take the lease over.';

-- +goose Down
DROP TABLE partnersync.user_sign_ins;
