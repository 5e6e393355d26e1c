-- The first schema. The same tables, columns and keys stand in the other engine's file of this
-- name; a test compares them. Times are microseconds UTC, credits and codes are BIGINT, ids of
-- accounts and streams are BIGINT, other ids 16 bytes. Every tenant key begins with account_id.

create table installation (
  id bigint primary key check (id = 1),
  secret bytea not null,
  open bigint not null check (open in (0, 1)),
  created_at bigint not null
);

create table account (
  account_id bigint primary key,
  name text not null,
  timezone text not null,
  country text not null,
  quiet_start text,
  quiet_end text,
  state text not null check (state in ('active', 'suspended', 'closed')),
  created_at bigint not null
);

create table api_key (
  key_id bytea primary key,
  account_id bigint not null,
  name text not null,
  mode text not null check (mode in ('live', 'test')),
  secret_hash bytea not null unique,
  created_at bigint not null,
  revoked_at bigint
);

create table rate (
  prefix text not null,
  sender_kind text not null,
  credits_per_segment bigint not null check (credits_per_segment > 0),
  effective_from bigint not null,
  primary key (prefix, sender_kind, effective_from)
);

create table wallet (
  account_id bigint primary key,
  available bigint not null check (available >= 0),
  reserved bigint not null check (reserved >= 0),
  spent bigint not null check (spent >= 0),
  owed bigint not null check (owed >= 0),
  paid bigint not null check (paid >= 0),
  promo bigint not null check (promo >= 0),
  refunded bigint not null check (refunded >= 0),
  loss bigint not null check (loss >= 0),
  breakage bigint not null check (breakage >= 0),
  seq bigint not null check (seq >= 0),
  head bytea not null,
  check (available + reserved + spent + breakage - owed - loss = paid + promo - refunded)
) with (fillfactor = 20);

create table ledger_entry (
  account_id bigint not null,
  seq bigint not null,
  kind text not null check (kind in ('grant', 'purchase', 'reserve', 'settle', 'release',
    'refund', 'late_charge', 'adjustment', 'clawback', 'expiry')),
  effect_key text not null,
  available bigint not null,
  reserved bigint not null,
  spent bigint not null,
  owed bigint not null,
  paid bigint not null,
  promo bigint not null,
  refunded bigint not null,
  loss bigint not null,
  breakage bigint not null,
  facts bigint not null,
  root bytea not null,
  available_after bigint not null,
  reserved_after bigint not null,
  spent_after bigint not null,
  owed_after bigint not null,
  actor text not null,
  reason text not null,
  at bigint not null,
  hash bytea not null,
  primary key (account_id, seq),
  unique (account_id, effect_key)
);

create table sender (
  account_id bigint not null,
  sender_id bytea not null,
  kind text not null check (kind in ('long_code', 'toll_free', 'short_code', '10dlc',
    'messaging_service', 'whatsapp')),
  address text not null,
  segments_per_second bigint not null check (segments_per_second > 0),
  state text not null check (state in ('active', 'paused')),
  created_at bigint not null,
  primary key (account_id, sender_id),
  unique (account_id, address)
);

create table contact (
  account_id bigint not null,
  contact_id bytea not null,
  phone text not null,
  name text not null,
  timezone text,
  tags text not null,
  fields text not null,
  blocked bigint not null check (blocked in (0, 1)),
  created_at bigint not null,
  updated_at bigint not null,
  primary key (account_id, contact_id),
  unique (account_id, phone)
);

create table consent (
  account_id bigint not null,
  phone text not null,
  category bigint not null,
  state bigint not null,
  since bigint not null,
  primary key (account_id, phone, category)
);

create table consent_event (
  account_id bigint not null,
  phone text not null,
  category bigint not null,
  event_id bytea not null,
  state bigint not null,
  source text not null,
  actor text not null,
  evidence text not null,
  at bigint not null,
  primary key (account_id, phone, category, event_id)
);

create table stream (
  account_id bigint not null,
  stream_id bigint not null,
  state bigint not null,
  reason bigint,
  position bigint not null check (position >= 0),
  total bigint not null check (total >= position),
  next_chunk bigint not null,
  need bigint not null,
  updated_at bigint not null,
  primary key (account_id, stream_id)
) with (fillfactor = 20);
create index stream_state on stream (state);
create index stream_unclaimed on stream (state) where position < total;

create table campaign (
  account_id bigint not null,
  stream_id bigint not null,
  name text not null,
  category bigint not null,
  body text not null,
  sealed_body text,
  audience text not null,
  sender_id bytea,
  starts_at bigint,
  not_after bigint not null,
  resume_when_funded bigint not null check (resume_when_funded in (0, 1)),
  sealed_to bytea,
  credits_quoted bigint not null,
  segments_quoted bigint not null,
  created_at bigint not null,
  primary key (account_id, stream_id)
);

create table recipient (
  account_id bigint not null,
  stream_id bigint not null,
  ord bigint not null,
  phone text not null,
  contact_id bytea,
  timezone text,
  context text not null,
  category bigint not null,
  body text,
  segments bigint not null,
  price bigint not null,
  problem_rule bigint,
  problem text,
  send_at bigint not null,
  not_after bigint not null,
  created_at bigint not null,
  primary key (account_id, stream_id, ord)
);

create table message (
  account_id bigint not null,
  stream_id bigint not null,
  ord bigint not null,
  attempt bigint not null,
  state bigint not null,
  chunk_no bigint not null,
  price bigint not null,
  sid text,
  code bigint,
  rule bigint,
  why text,
  updated_at bigint not null,
  primary key (account_id, stream_id, ord)
) with (fillfactor = 50);

create table message_event (
  account_id bigint not null,
  stream_id bigint not null,
  ord bigint not null,
  attempt bigint not null,
  kind bigint not null,
  code bigint not null,
  seq bigint not null,
  price bigint not null,
  sid text,
  detail text,
  at bigint not null,
  primary key (account_id, stream_id, ord, attempt, kind, code, seq)
);

create table deferred (
  account_id bigint not null,
  stream_id bigint not null,
  ord bigint not null,
  due_at bigint not null,
  primary key (account_id, stream_id, ord)
);
create index deferred_due on deferred (account_id, stream_id, due_at);
create index deferred_sweep on deferred (due_at);

create table chunk (
  account_id bigint not null,
  stream_id bigint not null,
  chunk_no bigint not null,
  ords text not null,
  mark bigint not null,
  epoch bigint not null,
  owner bytea not null,
  lease_until bigint not null,
  reserved bigint not null,
  open_amount bigint not null check (open_amount >= 0),
  state bigint not null check (state in (1, 2, 3)),
  claimed_at bigint not null,
  primary key (account_id, stream_id, chunk_no)
) with (fillfactor = 30);
create index chunk_open on chunk (account_id, stream_id, chunk_no) where state < 3;

create table tally (
  account_id bigint not null,
  stream_id bigint not null,
  state bigint not null,
  n bigint not null check (n >= 0),
  credits bigint not null check (credits >= 0),
  primary key (account_id, stream_id, state)
) with (fillfactor = 20);

create table idempotency (
  account_id bigint not null,
  idempotency_key text not null,
  request_hash bytea not null,
  status bigint not null,
  answer text not null,
  created_at bigint not null,
  primary key (account_id, idempotency_key)
);

create table audit_event (
  account_id bigint not null,
  event_id bytea not null,
  actor text not null,
  verb text not null,
  detail text not null,
  at bigint not null,
  primary key (account_id, event_id)
);

create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name;
end $$;
create trigger ledger_entry_append_only before update or delete on ledger_entry
  for each row execute function refuse_change();
create trigger message_event_append_only before update or delete on message_event
  for each row execute function refuse_change();
create trigger consent_event_append_only before update or delete on consent_event
  for each row execute function refuse_change();
create trigger audit_event_append_only before update or delete on audit_event
  for each row execute function refuse_change();
