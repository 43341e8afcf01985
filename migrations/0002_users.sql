create table users (
    id text primary key,
    email text not null,
    email_key text not null,
    full_name text,
    name_key text not null,
    avatar_url text,
    role text not null,
    is_active boolean not null,
    subscription_plan text,
    subscription_status text,
    stripe_customer_id text,
    apple_original_transaction_id text,
    google_purchase_token text,
    last_login_at bigint not null,
    login_count bigint not null,
    version bigint not null,
    created_at bigint not null,
    updated_at bigint not null
);
create unique index users_email_key on users (email_key);
create index users_created_at on users (created_at, id);
create index users_last_login_at on users (last_login_at, id);
create index users_role on users (role, is_active);
create index users_stripe_customer_id on users (stripe_customer_id);
create index users_apple_original_transaction_id on users (apple_original_transaction_id);
create index users_google_purchase_token on users (google_purchase_token);
