-- Delivery: texts whose fate is unknown, what carriers hold that nobody knows, inbound texts.

-- One row per text in state unknown: what the search for it needs, and until when it goes on.
create table unknown_text (
  account_id integer not null,
  stream_id integer not null,
  ord integer not null,
  attempt integer not null,
  carrier text not null,
  since integer not null,
  dead_at integer not null,
  resolve_by integer not null,
  next_look integer not null,
  looks integer not null,
  negatives integer not null,
  negative_at integer not null,
  primary key (account_id, stream_id, ord)
) strict, without rowid;
create index unknown_text_look on unknown_text (next_look);

-- Texts a carrier holds that are bound to none of ours. A directory: no account owns them yet.
create table orphan (
  carrier text not null,
  sid text not null,
  phone text not null,
  sender_address text not null,
  body text not null,
  created_at integer not null,
  found_at integer not null,
  state text not null check (state in ('open', 'adopted', 'foreign')),
  message text,
  primary key (carrier, sid)
) strict, without rowid;
create index orphan_open on orphan (phone) where state = 'open';

-- Where the sweep of each carrier stands, and whether sending waits for it.
create table carrier_watch (
  carrier text not null primary key,
  seen_until integer not null,
  quarantined_at integer,
  reason text
) strict, without rowid;

create table thread (
  account_id integer not null,
  thread_id blob not null,
  phone text not null,
  contact_id blob,
  state text not null check (state in ('open', 'closed')),
  inbound_at integer,
  updated_at integer not null,
  primary key (account_id, thread_id),
  unique (account_id, phone)
) strict, without rowid;

create table inbound (
  account_id integer not null,
  inbound_id blob not null,
  thread_id blob not null,
  sid text not null,
  phone text not null,
  sender_address text not null,
  body text not null,
  segments integer not null,
  media text not null,
  opt_out_type text,
  received_at integer not null,
  primary key (account_id, inbound_id),
  unique (account_id, sid)
) strict, without rowid;
create index inbound_thread on inbound (account_id, thread_id, received_at);

-- A text sent again after a failed delivery is a text of its own that names the one before it.
alter table recipient add column retry_of text;
alter table recipient add column tries integer not null default 1;
-- Who texted a phone, and what: for the search among a carrier's texts and for threads.
create index recipient_phone on recipient (phone, account_id, created_at);
create index sender_address on sender (address);

alter table sender add column reason text;

-- Each account has one endless stream per lane: 1 notifications, 2 codes, 3 urgent texts,
-- 4 replies, 5 reminders.
insert into stream (account_id, stream_id, state, position, total, next_chunk, need, updated_at)
select s.account_id, l.id, s.state, 0, 0, 1, 0, s.updated_at
from stream s cross join (select 2 as id union all select 3 union all select 4 union all select 5) l
where s.stream_id = 1;
