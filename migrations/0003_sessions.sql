create table sessions (
    id text primary key,
    user_id text not null references users (id),
    kind text not null,
    generation bigint not null,
    successor_used boolean not null,
    cookie_hash text,
    ip text not null,
    user_agent text not null,
    created_at bigint not null,
    rotated_at bigint not null,
    last_seen_at bigint not null,
    idle_until bigint not null,
    expires_at bigint not null,
    revoked_at bigint,
    revoked_because text
);
create unique index sessions_cookie_hash on sessions (cookie_hash);
create index sessions_user_id on sessions (user_id, created_at);
create index sessions_created_at on sessions (created_at);
create index sessions_live on sessions (expires_at) where revoked_at is null;

create table passwords (
    user_id text primary key references users (id),
    hash text not null,
    changed_at bigint not null
);

create table setup_links (
    token_hash text primary key,
    expires_at bigint not null,
    used_at bigint
);
