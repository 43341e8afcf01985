create table projects (
    id text primary key,
    owner_id text not null references users (id),
    name text not null,
    name_key text not null,
    description text,
    version bigint not null,
    created_at bigint not null,
    updated_at bigint not null,
    deleted_at bigint
);
create index projects_owner on projects (owner_id, created_at, id) where deleted_at is null;
create index projects_created_at on projects (created_at);
