create table health_checks (
    id bigint primary key,
    at bigint not null
);
