-- The first schema. The same tables, columns and keys stand in the other engine's file of this
-- name; a test compares them. Times are microseconds UTC, credits and codes are INTEGER, ids of
-- accounts and streams are INTEGER, other ids 16 bytes. Every tenant key begins with account_id.

create table installation (
  id integer primary key check (id = 1),
  secret blob not null,
  open integer not null check (open in (0, 1)),
  created_at integer not null
) strict;

create table account (
  account_id integer primary key,
  name text not null,
  timezone text not null,
  country text not null,
  quiet_start text,
  quiet_end text,
  state text not null check (state in ('active', 'suspended', 'closed')),
  created_at integer not null
) strict;

create table api_key (
  key_id blob primary key,
  account_id integer not null,
  name text not null,
  mode text not null check (mode in ('live', 'test')),
  secret_hash blob not null unique,
  created_at integer not null,
  revoked_at integer
) strict;

create table rate (
  prefix text not null,
  sender_kind text not null,
  credits_per_segment integer not null check (credits_per_segment > 0),
  effective_from integer not null,
  primary key (prefix, sender_kind, effective_from)
) strict;

create table wallet (
  account_id integer primary key,
  available integer not null check (available >= 0),
  reserved integer not null check (reserved >= 0),
  spent integer not null check (spent >= 0),
  owed integer not null check (owed >= 0),
  paid integer not null check (paid >= 0),
  promo integer not null check (promo >= 0),
  refunded integer not null check (refunded >= 0),
  loss integer not null check (loss >= 0),
  breakage integer not null check (breakage >= 0),
  seq integer not null check (seq >= 0),
  head blob not null,
  check (available + reserved + spent + breakage - owed - loss = paid + promo - refunded)
) strict;

create table ledger_entry (
  account_id integer not null,
  seq integer not null,
  kind text not null check (kind in ('grant', 'purchase', 'reserve', 'settle', 'release',
    'refund', 'late_charge', 'adjustment', 'clawback', 'expiry')),
  effect_key text not null,
  available integer not null,
  reserved integer not null,
  spent integer not null,
  owed integer not null,
  paid integer not null,
  promo integer not null,
  refunded integer not null,
  loss integer not null,
  breakage integer not null,
  facts integer not null,
  root blob not null,
  available_after integer not null,
  reserved_after integer not null,
  spent_after integer not null,
  owed_after integer not null,
  actor text not null,
  reason text not null,
  at integer not null,
  hash blob not null,
  primary key (account_id, seq),
  unique (account_id, effect_key)
) strict, without rowid;

create table sender (
  account_id integer not null,
  sender_id blob not null,
  kind text not null check (kind in ('long_code', 'toll_free', 'short_code', '10dlc',
    'messaging_service', 'whatsapp')),
  address text not null,
  segments_per_second integer not null check (segments_per_second > 0),
  state text not null check (state in ('active', 'paused')),
  created_at integer not null,
  primary key (account_id, sender_id),
  unique (account_id, address)
) strict, without rowid;

create table contact (
  account_id integer not null,
  contact_id blob not null,
  phone text not null,
  name text not null,
  timezone text,
  tags text not null,
  fields text not null,
  blocked integer not null check (blocked in (0, 1)),
  created_at integer not null,
  updated_at integer not null,
  primary key (account_id, contact_id),
  unique (account_id, phone)
) strict, without rowid;

create table consent (
  account_id integer not null,
  phone text not null,
  category integer not null,
  state integer not null,
  since integer not null,
  primary key (account_id, phone, category)
) strict, without rowid;

create table consent_event (
  account_id integer not null,
  phone text not null,
  category integer not null,
  event_id blob not null,
  state integer not null,
  source text not null,
  actor text not null,
  evidence text not null,
  at integer not null,
  primary key (account_id, phone, category, event_id)
) strict, without rowid;

create table stream (
  account_id integer not null,
  stream_id integer not null,
  state integer not null,
  reason integer,
  position integer not null check (position >= 0),
  total integer not null check (total >= position),
  next_chunk integer not null,
  need integer not null,
  updated_at integer not null,
  primary key (account_id, stream_id)
) strict, without rowid;
create index stream_state on stream (state);
create index stream_unclaimed on stream (state) where position < total;

create table campaign (
  account_id integer not null,
  stream_id integer not null,
  name text not null,
  category integer not null,
  body text not null,
  sealed_body text,
  audience text not null,
  sender_id blob,
  starts_at integer,
  not_after integer not null,
  resume_when_funded integer not null check (resume_when_funded in (0, 1)),
  sealed_to blob,
  credits_quoted integer not null,
  segments_quoted integer not null,
  created_at integer not null,
  primary key (account_id, stream_id)
) strict, without rowid;

create table recipient (
  account_id integer not null,
  stream_id integer not null,
  ord integer not null,
  phone text not null,
  contact_id blob,
  timezone text,
  context text not null,
  category integer not null,
  body text,
  segments integer not null,
  price integer not null,
  problem_rule integer,
  problem text,
  send_at integer not null,
  not_after integer not null,
  created_at integer not null,
  primary key (account_id, stream_id, ord)
) strict, without rowid;

create table message (
  account_id integer not null,
  stream_id integer not null,
  ord integer not null,
  attempt integer not null,
  state integer not null,
  chunk_no integer not null,
  price integer not null,
  sid text,
  code integer,
  rule integer,
  why text,
  updated_at integer not null,
  primary key (account_id, stream_id, ord)
) strict, without rowid;

create table message_event (
  account_id integer not null,
  stream_id integer not null,
  ord integer not null,
  attempt integer not null,
  kind integer not null,
  code integer not null,
  seq integer not null,
  price integer not null,
  sid text,
  detail text,
  at integer not null,
  primary key (account_id, stream_id, ord, attempt, kind, code, seq)
) strict, without rowid;

create table deferred (
  account_id integer not null,
  stream_id integer not null,
  ord integer not null,
  due_at integer not null,
  primary key (account_id, stream_id, ord)
) strict, without rowid;
create index deferred_due on deferred (account_id, stream_id, due_at);
create index deferred_sweep on deferred (due_at);

create table chunk (
  account_id integer not null,
  stream_id integer not null,
  chunk_no integer not null,
  ords text not null,
  mark integer not null,
  epoch integer not null,
  owner blob not null,
  lease_until integer not null,
  reserved integer not null,
  open_amount integer not null check (open_amount >= 0),
  state integer not null check (state in (1, 2, 3)),
  claimed_at integer not null,
  primary key (account_id, stream_id, chunk_no)
) strict, without rowid;
create index chunk_open on chunk (account_id, stream_id, chunk_no) where state < 3;

create table tally (
  account_id integer not null,
  stream_id integer not null,
  state integer not null,
  n integer not null check (n >= 0),
  credits integer not null check (credits >= 0),
  primary key (account_id, stream_id, state)
) strict, without rowid;

create table idempotency (
  account_id integer not null,
  idempotency_key text not null,
  request_hash blob not null,
  status integer not null,
  answer text not null,
  created_at integer not null,
  primary key (account_id, idempotency_key)
) strict, without rowid;

create table audit_event (
  account_id integer not null,
  event_id blob not null,
  actor text not null,
  verb text not null,
  detail text not null,
  at integer not null,
  primary key (account_id, event_id)
) strict, without rowid;

create trigger ledger_entry_no_update before update on ledger_entry
  begin select raise(abort, 'ledger_entry is append-only'); end;
create trigger ledger_entry_no_delete before delete on ledger_entry
  begin select raise(abort, 'ledger_entry is append-only'); end;
create trigger message_event_no_update before update on message_event
  begin select raise(abort, 'message_event is append-only'); end;
create trigger message_event_no_delete before delete on message_event
  begin select raise(abort, 'message_event is append-only'); end;
create trigger consent_event_no_update before update on consent_event
  begin select raise(abort, 'consent_event is append-only'); end;
create trigger consent_event_no_delete before delete on consent_event
  begin select raise(abort, 'consent_event is append-only'); end;
create trigger audit_event_no_update before update on audit_event
  begin select raise(abort, 'audit_event is append-only'); end;
create trigger audit_event_no_delete before delete on audit_event
  begin select raise(abort, 'audit_event is append-only'); end;
