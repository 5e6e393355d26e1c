-- Appointments: bookings and their reminders, the answers to them, consent in full, the inbox.

-- What an account has chosen, one JSON document. Its row is the lock of everything below: who
-- changes appointments, requests, threads or tasks of an account takes it first.
create table settings (
  account_id integer primary key,
  document text not null,
  version integer not null,
  -- The reminders of all bookings are planned by the choices of this version; `planned_by` says
  -- which choices those were, `planned_to` how far a pass over the bookings has come.
  planned_version integer not null default 1,
  planned_by text not null default '',
  planned_to text,
  updated_at integer not null
) strict;
insert into settings (account_id, document, version, updated_at)
select account_id, '{}', 1, created_at from account;

create table template (
  account_id integer not null,
  template_id blob not null,
  name text not null,
  bodies text not null,
  created_at integer not null,
  updated_at integer not null,
  primary key (account_id, template_id)
) strict, without rowid;

alter table contact add column locale text;
alter table contact add column verified integer not null default 0;
alter table contact add column quiet_start text;
alter table contact add column quiet_end text;

-- What became of a contact: numbers changed, two that were one.
create table contact_event (
  account_id integer not null,
  contact_id blob not null,
  event_id blob not null,
  kind text not null check (kind in ('phone', 'merge')),
  detail text not null,
  actor text not null,
  at integer not null,
  primary key (account_id, contact_id, event_id)
) strict, without rowid;

-- Where people reach the server: the address of links in texts.
alter table installation add column public_url text;

-- Which event a consent rests on, so that the same words in any order fold to the same.
alter table consent add column event_id blob;
alter table consent_event add column wording text;
alter table consent_event add column wording_version text;
alter table consent_event add column scope text;
alter table consent_event add column ip text;
alter table consent_event add column user_agent text;
alter table consent_event add column said_at integer;

-- An opt-in that waits for its second word.
create table opt_in (
  account_id integer not null,
  phone text not null,
  keyword text not null,
  wording text not null,
  sid text not null,
  asked_at integer not null,
  expires_at integer not null,
  primary key (account_id, phone)
) strict, without rowid;

-- Opt-outs of one sender only, for accounts that want them so.
create table sender_opt_out (
  account_id integer not null,
  phone text not null,
  sender_address text not null,
  since integer not null,
  primary key (account_id, phone, sender_address)
) strict, without rowid;

-- When a phone was last told how to opt out.
create table footer (
  account_id integer not null,
  phone text not null,
  at integer not null,
  primary key (account_id, phone)
) strict, without rowid;

-- Texts whose reason is gone: the gate lets none of them leave.
create table withdrawal (
  account_id integer not null,
  stream_id integer not null,
  ord integer not null,
  why text not null,
  at integer not null,
  primary key (account_id, stream_id, ord)
) strict, without rowid;

alter table sender add column answers_stop text not null default 'ledgerline'
  check (answers_stop in ('carrier', 'ledgerline'));

create table series (
  account_id integer not null,
  series_id blob not null,
  external_id text,
  title text not null,
  starts_local text not null,
  timezone text not null,
  duration_minutes integer,
  location text,
  coach text,
  rule text,
  dates text,
  attendees text not null,
  planned_until integer not null,
  state text not null check (state in ('active', 'ended')),
  created_at integer not null,
  updated_at integer not null,
  primary key (account_id, series_id),
  unique (account_id, external_id)
) strict, without rowid;
create index series_plan on series (planned_until) where state = 'active';

create table appointment (
  account_id integer not null,
  appointment_id blob not null,
  external_id text,
  series_id blob,
  occurrence text,
  title text not null,
  starts_at integer not null,
  timezone text not null,
  duration_minutes integer,
  location text,
  coach text,
  state text not null check (state in ('scheduled', 'confirmed', 'declined', 'cancelled',
    'completed', 'no_show')),
  -- Moved by hand: its series leaves it where it is.
  moved integer not null default 0,
  version integer not null,
  created_at integer not null,
  updated_at integer not null,
  primary key (account_id, appointment_id),
  unique (account_id, external_id),
  unique (account_id, series_id, occurrence)
) strict, without rowid;
create index appointment_time on appointment (account_id, starts_at);
create index appointment_series on appointment (account_id, series_id, starts_at);

create table attendee (
  account_id integer not null,
  appointment_id blob not null,
  attendee_id blob not null,
  contact_id blob,
  phone text,
  name text not null,
  timezone text,
  state text not null check (state in ('scheduled', 'confirmed', 'declined', 'cancelled',
    'completed', 'no_show')),
  problem text,
  updated_at integer not null,
  primary key (account_id, appointment_id, attendee_id)
) strict, without rowid;
create index attendee_contact on attendee (account_id, contact_id, updated_at);

-- state: 1 planned, 2 sent, 3 delivered, 4 skipped, 5 cancelled, 6 failed.
create table reminder (
  account_id integer not null,
  reminder_id blob not null,
  appointment_id blob not null,
  attendee_id blob not null,
  party text not null check (party in ('client', 'coach')),
  context text not null,
  offset_minutes integer not null,
  starts_at integer not null,
  due_at integer not null,
  not_after integer not null,
  state integer not null check (state between 1 and 6),
  reason text,
  stream_id integer,
  ord integer,
  watch_at integer,
  created_at integer not null,
  updated_at integer not null,
  primary key (account_id, reminder_id),
  unique (account_id, appointment_id, attendee_id, party, offset_minutes, starts_at)
) strict, without rowid;
-- The first finds whose turn it is, the second an account's own.
create index reminder_due on reminder (due_at, account_id) where state = 1;
create index reminder_next on reminder (account_id, due_at) where state = 1;
create index reminder_watch on reminder (watch_at, account_id) where state = 2;
create index reminder_look on reminder (account_id, watch_at) where state = 2;
create index reminder_sent on reminder (account_id, updated_at) where state <> 1;

create table request (
  account_id integer not null,
  request_id blob not null,
  appointment_id blob not null,
  attendee_id blob not null,
  phone text not null,
  token integer not null,
  starts_at integer not null,
  state text not null check (state in ('pending', 'yes', 'no', 'expired', 'resolved')),
  asked_at integer not null,
  expires_at integer not null,
  answered_at integer,
  answered_by text,
  primary key (account_id, request_id),
  unique (account_id, appointment_id, attendee_id, starts_at)
) strict, without rowid;
create unique index request_token on request (account_id, phone, token) where state = 'pending';
create index request_phone on request (account_id, phone, asked_at);
create index request_asked on request (account_id, asked_at);
create index request_expiry on request (expires_at, account_id) where state = 'pending';

alter table thread add column assignee text;
alter table thread add column clarified_at integer;
alter table inbound add column meaning text;
alter table inbound add column outcome text;
create index thread_updated on thread (account_id, updated_at);

create table note (
  account_id integer not null,
  note_id blob not null,
  thread_id blob not null,
  author text not null,
  body text not null,
  at integer not null,
  primary key (account_id, note_id)
) strict, without rowid;
create index note_thread on note (account_id, thread_id, at);

create table canned_reply (
  account_id integer not null,
  reply_id blob not null,
  name text not null,
  body text not null,
  updated_at integer not null,
  primary key (account_id, reply_id),
  unique (account_id, name)
) strict, without rowid;

-- subject names what a task is about, such as call:rem_…, so that it is opened once.
create table task (
  account_id integer not null,
  task_id blob not null,
  kind text not null check (kind in ('call', 'reschedule', 'review', 'clarify')),
  state text not null check (state in ('open', 'done')),
  subject text not null,
  title text not null,
  detail text not null,
  phone text,
  contact_id blob,
  thread_id blob,
  appointment_id blob,
  assignee text,
  due_at integer not null,
  created_at integer not null,
  done_at integer,
  done_by text,
  primary key (account_id, task_id),
  unique (account_id, subject)
) strict, without rowid;
create index task_list on task (account_id, state, due_at);

-- Each run of a rule that acts by itself.
create table automation_run (
  account_id integer not null,
  run_id blob not null,
  rule text not null,
  version integer not null,
  subject text not null,
  outcome text not null,
  detail text not null,
  next_at integer,
  at integer not null,
  primary key (account_id, run_id)
) strict, without rowid;
create index automation_rule on automation_run (account_id, rule, at);

create index consent_event_at on consent_event (account_id, at);

create trigger contact_event_no_update before update on contact_event
  begin select raise(abort, 'contact_event is append-only'); end;
create trigger contact_event_no_delete before delete on contact_event
  begin select raise(abort, 'contact_event is append-only'); end;
create trigger automation_run_no_update before update on automation_run
  begin select raise(abort, 'automation_run is append-only'); end;
create trigger automation_run_no_delete before delete on automation_run
  begin select raise(abort, 'automation_run is append-only'); end;
create index settings_plan on settings (account_id) where version <> planned_version;
create index recipient_again on recipient (account_id, retry_of) where retry_of is not null;

-- What was texted about a booking besides its reminders, so that it can be taken back.
create table announcement (
  account_id integer not null,
  appointment_id blob not null,
  stream_id integer not null,
  ord integer not null,
  at integer not null,
  primary key (account_id, appointment_id, stream_id, ord)
) strict, without rowid;
create index request_appointment on request (account_id, appointment_id);
create index task_appointment on task (account_id, appointment_id, created_at);
create index task_phone on task (account_id, phone, state, created_at);
