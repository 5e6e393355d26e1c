-- Appointments: bookings and their reminders, the answers to them, consent in full, the inbox.

-- What an account has chosen, one JSON document. Its row is the lock of everything below: who
-- changes appointments, requests, threads or tasks of an account takes it first.
create table settings (
  account_id bigint primary key,
  document text not null,
  version bigint not null,
  -- The reminders of all bookings are planned by the choices of this version; `planned_by` says
  -- which choices those were, `planned_to` how far a pass over the bookings has come.
  planned_version bigint not null default 1,
  planned_by text not null default '',
  planned_to text,
  updated_at bigint not null
);
insert into settings (account_id, document, version, updated_at)
select account_id, '{}', 1, created_at from account;

create table template (
  account_id bigint not null,
  template_id bytea not null,
  name text not null,
  bodies text not null,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (account_id, template_id)
);

alter table contact add column locale text;
alter table contact add column verified bigint not null default 0;
alter table contact add column quiet_start text;
alter table contact add column quiet_end text;

-- What became of a contact: numbers changed, two that were one.
create table contact_event (
  account_id bigint not null,
  contact_id bytea not null,
  event_id bytea not null,
  kind text not null check (kind in ('phone', 'merge')),
  detail text not null,
  actor text not null,
  at bigint not null,
  primary key (account_id, contact_id, event_id)
);

-- Where people reach the server: the address of links in texts.
alter table installation add column public_url text;

-- Which event a consent rests on, so that the same words in any order fold to the same.
alter table consent add column event_id bytea;
alter table consent_event add column wording text;
alter table consent_event add column wording_version text;
alter table consent_event add column scope text;
alter table consent_event add column ip text;
alter table consent_event add column user_agent text;
alter table consent_event add column said_at bigint;

-- An opt-in that waits for its second word.
create table opt_in (
  account_id bigint not null,
  phone text not null,
  keyword text not null,
  wording text not null,
  sid text not null,
  asked_at bigint not null,
  expires_at bigint not null,
  primary key (account_id, phone)
);

-- Opt-outs of one sender only, for accounts that want them so.
create table sender_opt_out (
  account_id bigint not null,
  phone text not null,
  sender_address text not null,
  since bigint not null,
  primary key (account_id, phone, sender_address)
);

-- When a phone was last told how to opt out.
create table footer (
  account_id bigint not null,
  phone text not null,
  at bigint not null,
  primary key (account_id, phone)
);

-- Texts whose reason is gone: the gate lets none of them leave.
create table withdrawal (
  account_id bigint not null,
  stream_id bigint not null,
  ord bigint not null,
  why text not null,
  at bigint not null,
  primary key (account_id, stream_id, ord)
);

alter table sender add column answers_stop text not null default 'ledgerline'
  check (answers_stop in ('carrier', 'ledgerline'));

create table series (
  account_id bigint not null,
  series_id bytea not null,
  external_id text,
  title text not null,
  starts_local text not null,
  timezone text not null,
  duration_minutes bigint,
  location text,
  coach text,
  rule text,
  dates text,
  attendees text not null,
  planned_until bigint not null,
  state text not null check (state in ('active', 'ended')),
  created_at bigint not null,
  updated_at bigint not null,
  primary key (account_id, series_id),
  unique (account_id, external_id)
);
create index series_plan on series (planned_until) where state = 'active';

create table appointment (
  account_id bigint not null,
  appointment_id bytea not null,
  external_id text,
  series_id bytea,
  occurrence text,
  title text not null,
  starts_at bigint not null,
  timezone text not null,
  duration_minutes bigint,
  location text,
  coach text,
  state text not null check (state in ('scheduled', 'confirmed', 'declined', 'cancelled',
    'completed', 'no_show')),
  -- Moved by hand: its series leaves it where it is.
  moved bigint not null default 0,
  version bigint not null,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (account_id, appointment_id),
  unique (account_id, external_id),
  unique (account_id, series_id, occurrence)
);
create index appointment_time on appointment (account_id, starts_at);
create index appointment_series on appointment (account_id, series_id, starts_at);

create table attendee (
  account_id bigint not null,
  appointment_id bytea not null,
  attendee_id bytea not null,
  contact_id bytea,
  phone text,
  name text not null,
  timezone text,
  state text not null check (state in ('scheduled', 'confirmed', 'declined', 'cancelled',
    'completed', 'no_show')),
  problem text,
  updated_at bigint not null,
  primary key (account_id, appointment_id, attendee_id)
);
create index attendee_contact on attendee (account_id, contact_id, updated_at);

-- state: 1 planned, 2 sent, 3 delivered, 4 skipped, 5 cancelled, 6 failed.
create table reminder (
  account_id bigint not null,
  reminder_id bytea not null,
  appointment_id bytea not null,
  attendee_id bytea not null,
  party text not null check (party in ('client', 'coach')),
  context text not null,
  offset_minutes bigint not null,
  starts_at bigint not null,
  due_at bigint not null,
  not_after bigint not null,
  state bigint not null check (state between 1 and 6),
  reason text,
  stream_id bigint,
  ord bigint,
  watch_at bigint,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (account_id, reminder_id),
  unique (account_id, appointment_id, attendee_id, party, offset_minutes, starts_at)
);
-- The first finds whose turn it is, the second an account's own.
create index reminder_due on reminder (due_at, account_id) where state = 1;
create index reminder_next on reminder (account_id, due_at) where state = 1;
create index reminder_watch on reminder (watch_at, account_id) where state = 2;
create index reminder_look on reminder (account_id, watch_at) where state = 2;
create index reminder_sent on reminder (account_id, updated_at) where state <> 1;

create table request (
  account_id bigint not null,
  request_id bytea not null,
  appointment_id bytea not null,
  attendee_id bytea not null,
  phone text not null,
  token bigint not null,
  starts_at bigint not null,
  state text not null check (state in ('pending', 'yes', 'no', 'expired', 'resolved')),
  asked_at bigint not null,
  expires_at bigint not null,
  answered_at bigint,
  answered_by text,
  primary key (account_id, request_id),
  unique (account_id, appointment_id, attendee_id, starts_at)
);
create unique index request_token on request (account_id, phone, token) where state = 'pending';
create index request_phone on request (account_id, phone, asked_at);
create index request_asked on request (account_id, asked_at);
create index request_expiry on request (expires_at, account_id) where state = 'pending';

alter table thread add column assignee text;
alter table thread add column clarified_at bigint;
alter table inbound add column meaning text;
alter table inbound add column outcome text;
create index thread_updated on thread (account_id, updated_at);

create table note (
  account_id bigint not null,
  note_id bytea not null,
  thread_id bytea not null,
  author text not null,
  body text not null,
  at bigint not null,
  primary key (account_id, note_id)
);
create index note_thread on note (account_id, thread_id, at);

create table canned_reply (
  account_id bigint not null,
  reply_id bytea not null,
  name text not null,
  body text not null,
  updated_at bigint not null,
  primary key (account_id, reply_id),
  unique (account_id, name)
);

-- subject names what a task is about, such as call:rem_…, so that it is opened once.
create table task (
  account_id bigint not null,
  task_id bytea not null,
  kind text not null check (kind in ('call', 'reschedule', 'review', 'clarify')),
  state text not null check (state in ('open', 'done')),
  subject text not null,
  title text not null,
  detail text not null,
  phone text,
  contact_id bytea,
  thread_id bytea,
  appointment_id bytea,
  assignee text,
  due_at bigint not null,
  created_at bigint not null,
  done_at bigint,
  done_by text,
  primary key (account_id, task_id),
  unique (account_id, subject)
);
create index task_list on task (account_id, state, due_at);

-- Each run of a rule that acts by itself.
create table automation_run (
  account_id bigint not null,
  run_id bytea not null,
  rule text not null,
  version bigint not null,
  subject text not null,
  outcome text not null,
  detail text not null,
  next_at bigint,
  at bigint not null,
  primary key (account_id, run_id)
);
create index automation_rule on automation_run (account_id, rule, at);

create index consent_event_at on consent_event (account_id, at);

create trigger contact_event_append_only before update or delete on contact_event
  for each row execute function refuse_change();
create trigger automation_run_append_only before update or delete on automation_run
  for each row execute function refuse_change();
create index settings_plan on settings (account_id) where version <> planned_version;
create index recipient_again on recipient (account_id, retry_of) where retry_of is not null;

-- What was texted about a booking besides its reminders, so that it can be taken back.
create table announcement (
  account_id bigint not null,
  appointment_id bytea not null,
  stream_id bigint not null,
  ord bigint not null,
  at bigint not null,
  primary key (account_id, appointment_id, stream_id, ord)
);
create index request_appointment on request (account_id, appointment_id);
create index task_appointment on task (account_id, appointment_id, created_at);
create index task_phone on task (account_id, phone, state, created_at);
