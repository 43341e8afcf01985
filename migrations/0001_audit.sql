create table audit_entries (
    id text primary key,
    at bigint not null,
    action text not null,
    actor_id text,
    actor_email text,
    actor_role text,
    subject_id text,
    resource_type text not null,
    resource_id text not null,
    before text,
    after text,
    ip text not null,
    user_agent text not null,
    request_id text not null
);
create index audit_entries_at on audit_entries (at, id);
create index audit_entries_resource on audit_entries (resource_type, resource_id, at);
create index audit_entries_subject on audit_entries (subject_id, at);
create index audit_entries_action on audit_entries (action, at);
