create table idempotency_keys (
    owner_id text not null,
    operation text not null,
    idempotency_key text not null,
    fingerprint text not null,
    answer text not null,
    created_at bigint not null,
    primary key (owner_id, operation, idempotency_key)
);
create index idempotency_keys_created_at on idempotency_keys (created_at);
