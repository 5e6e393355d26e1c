-- Money: what customers pay, what their plans allow, what limits what they spend.

-- The ledger learns two more kinds of lines. A check cannot be changed here, so the table is made
-- again with every line as it was.
drop trigger ledger_entry_no_update;
drop trigger ledger_entry_no_delete;
alter table ledger_entry rename to ledger_entry_before;
create table ledger_entry (
  account_id integer not null,
  seq integer not null,
  kind text not null check (kind in ('grant', 'purchase', 'reserve', 'settle', 'release',
    'refund', 'late_charge', 'adjustment', 'clawback', 'expiry', 'dispute_hold',
    'dispute_release')),
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
insert into ledger_entry select * from ledger_entry_before;
drop table ledger_entry_before;
create index ledger_entry_at on ledger_entry (account_id, at);
create trigger ledger_entry_no_update before update on ledger_entry
  begin select raise(abort, 'ledger_entry is append-only'); end;
create trigger ledger_entry_no_delete before delete on ledger_entry
  begin select raise(abort, 'ledger_entry is append-only'); end;

-- A bought number of credits and the money for it, in minor units of the currency. `refunded` and
-- `disputed` are what is known of the money; `granted`, `clawed` and `held` the credits that were
-- moved for it so far, in `moves` lines of the ledger.
create table purchase (
  account_id integer not null,
  purchase_id blob not null,
  kind text not null check (kind in ('checkout', 'auto')),
  pack text,
  credits integer not null check (credits > 0),
  amount integer not null check (amount > 0),
  currency text not null,
  state text not null check (state in ('pending', 'paid', 'failed', 'expired', 'refunded',
    'disputed')),
  reason text,
  checkout text,
  checkout_url text,
  payment_intent text,
  -- Whether the card is kept for later; and, of an automatic purchase, which card pays.
  save_card integer not null default 0 check (save_card in (0, 1)),
  payment_method text,
  paid_at integer,
  refund_seen integer not null default 0,
  refunded integer not null default 0,
  disputed integer not null default 0,
  granted integer not null default 0,
  clawed integer not null default 0,
  held integer not null default 0,
  moves integer not null default 0,
  tries integer not null default 0,
  next_at integer,
  created_at integer not null,
  updated_at integer not null,
  primary key (account_id, purchase_id),
  check (clawed + held <= granted)
) strict, without rowid;
-- One automatic purchase of an account at a time.
create unique index purchase_in_flight on purchase (account_id)
  where kind = 'auto' and state = 'pending';
create index purchase_list on purchase (account_id, created_at);
create index purchase_next on purchase (next_at, account_id) where state = 'pending';

-- Each refund and dispute of a purchase, as last known.
create table money_back (
  account_id integer not null,
  purchase_id blob not null,
  object_id text not null,
  kind text not null check (kind in ('refund', 'dispute')),
  amount integer not null check (amount >= 0),
  state text not null,
  version integer not null,
  updated_at integer not null,
  primary key (account_id, purchase_id, object_id)
) strict, without rowid;

-- A directory: whose a thing of Stripe's is, such as pi_…, cs_…, cus_…, sub_….
create table stripe_reference (
  reference text not null primary key,
  account_id integer not null,
  purchase_id blob
) strict, without rowid;

-- Every event, kept before it is applied. No account owns it until one is found.
create table stripe_event (
  event_id text not null primary key,
  kind text not null,
  created integer not null,
  api_version text,
  livemode integer not null check (livemode in (0, 1)),
  account_id integer,
  reference text,
  body text not null,
  state text not null check (state in ('new', 'applied', 'ignored', 'unmatched', 'failed')),
  note text,
  tries integer not null default 0,
  next_at integer not null,
  received_at integer not null,
  applied_at integer
) strict, without rowid;
create index stripe_event_new on stripe_event (next_at) where state = 'new';
create index stripe_event_unmatched on stripe_event (reference) where state = 'unmatched';
create index stripe_event_received on stripe_event (received_at);

-- Who pays for an account at Stripe, and with which card when nobody is there.
create table payer (
  account_id integer primary key,
  customer text,
  payment_method text,
  card_brand text,
  card_last4 text,
  card_expires text,
  consented_at integer,
  -- The card that was taken away last; late news of it does not bring it back.
  detached text,
  updated_at integer not null
) strict;

create table auto_topup (
  account_id integer primary key,
  enabled integer not null check (enabled in (0, 1)),
  threshold integer not null check (threshold >= 0),
  pack text not null,
  daily_cap integer,
  monthly_cap integer,
  failures integer not null default 0,
  -- Why it buys nothing until a person does something.
  halted text,
  halted_at integer,
  next_at integer not null default 0,
  updated_at integer not null
) strict;
create index auto_topup_enabled on auto_topup (account_id) where enabled = 1;

create table subscription (
  account_id integer primary key,
  plan text not null,
  state text not null check (state in ('incomplete', 'incomplete_expired', 'trialing', 'active',
    'past_due', 'unpaid', 'canceled', 'paused')),
  source text not null check (source in ('operator', 'stripe')),
  stripe_subscription text,
  period_start integer not null,
  period_end integer not null,
  cancel_at_period_end integer not null check (cancel_at_period_end in (0, 1)),
  past_due_since integer,
  -- Which news of it is the newest known; older news changes nothing.
  version integer not null,
  -- What Stripe said of each of the account's subscriptions, as JSON.
  heard text not null default '[]',
  next_at integer,
  updated_at integer not null
) strict;
create index subscription_next on subscription (next_at) where next_at is not null;

-- Credits that expire: an interval on the axis of the account's credits in the order of their use;
-- the `expired` ones are cut out of it. `look_at` is when the timer looks at them next.
create table lot (
  account_id integer not null,
  lot_id blob not null,
  source text not null,
  start integer not null,
  size integer not null check (size > 0),
  expires_at integer not null,
  expired integer not null default 0,
  expiries integer not null default 0,
  state text not null check (state in ('open', 'closed')),
  look_at integer not null,
  created_at integer not null,
  primary key (account_id, lot_id),
  unique (account_id, source)
) strict, without rowid;
create index lot_due on lot (look_at, account_id) where state = 'open';
create index lot_open on lot (account_id, start) where state = 'open';

-- An operator's movement of credits that a second one must agree to.
create table adjustment (
  account_id integer not null,
  adjustment_id blob not null,
  amount integer not null,
  reason text not null,
  state text not null check (state in ('proposed', 'approved', 'rejected')),
  proposed_by text not null,
  decided_by text,
  created_at integer not null,
  decided_at integer,
  primary key (account_id, adjustment_id)
) strict, without rowid;
create index adjustment_id on adjustment (adjustment_id);

-- What an account may spend in a day and a month, in credits. `day_base` and `month_base` are what
-- was ever used (spent and reserved) when the day and the month began.
create table budget (
  account_id integer primary key,
  daily_credits integer,
  monthly_credits integer,
  day_start integer not null default 0,
  day_base integer not null default 0,
  day_warned integer not null default 0,
  month_start integer not null default 0,
  month_base integer not null default 0,
  month_warned integer not null default 0,
  updated_at integer not null
) strict;

-- Texts to numbers that begin alike, hour by hour; `low` and `high` have a bit for each number of
-- a block of a hundred.
create table velocity (
  account_id integer not null,
  hour integer not null,
  prefix text not null,
  n integer not null,
  low integer not null,
  high integer not null,
  primary key (account_id, hour, prefix)
) strict, without rowid;
create index velocity_old on velocity (hour, account_id);

-- What left within the last hour, where an account limits that: bookings reminded of, and single
-- texts.
create table departure (
  account_id integer not null,
  kind text not null check (kind in ('reminder', 'text')),
  subject blob not null,
  left_at integer not null,
  primary key (account_id, kind, subject)
) strict, without rowid;
create index departure_time on departure (account_id, kind, left_at);
-- Finds the booking that a text reminds of.
create index reminder_text on reminder (account_id, stream_id, ord) where stream_id is not null;

-- What keeps an account's texts from leaving until a person lifts it.
create table hold (
  account_id integer not null,
  hold_id blob not null,
  kind text not null,
  subject text not null,
  reason text not null,
  since integer not null,
  lifted_at integer,
  lifted_by text,
  primary key (account_id, hold_id)
) strict, without rowid;
create unique index hold_open on hold (account_id, kind, subject) where lifted_at is null;

-- What an account should know; `subject` names what a notice is about, so that it is given once.
create table notice (
  account_id integer not null,
  notice_id blob not null,
  kind text not null,
  subject text not null,
  title text not null,
  detail text not null,
  link text,
  created_at integer not null,
  seen_at integer,
  -- none: nobody to write to; due: to be mailed from next_at on.
  mail text not null check (mail in ('none', 'due', 'sent', 'failed')),
  tries integer not null default 0,
  next_at integer,
  primary key (account_id, notice_id),
  unique (account_id, subject)
) strict, without rowid;
create index notice_list on notice (account_id, created_at);
create index notice_mail on notice (next_at, account_id) where mail = 'due';

-- The price list learns destinations by country, channels and what the carrier takes: millionths
-- of the currency per segment.
create table rate_after (
  destination text not null,
  sender_kind text not null,
  channel text not null check (channel in ('any', 'sms', 'mms', 'whatsapp')),
  effective_from integer not null,
  credits_per_segment integer not null check (credits_per_segment > 0),
  carrier_price integer check (carrier_price >= 0),
  currency text,
  primary key (destination, sender_kind, channel, effective_from)
) strict;
insert into rate_after (destination, sender_kind, channel, effective_from, credits_per_segment)
select prefix, sender_kind, 'any', effective_from, credits_per_segment from rate;
drop table rate;
alter table rate_after rename to rate;

-- Words against texts by when they were recorded: who sends looks at the newest again and again.
create index consent_event_opt_out on consent_event (account_id, at) where state = 2;
create index sender_opt_out_since on sender_opt_out (account_id, sender_address, since);
create index withdrawal_at on withdrawal (account_id, stream_id, at);

-- What carriers billed for an account's texts, day by day (UTC), in millionths of the currency; an
-- empty currency for what is not billed yet.
create table carrier_bill (
  account_id integer not null,
  day integer not null,
  currency text not null,
  texts integer not null,
  segments integer not null,
  priced_segments integer not null,
  unbilled integer not null,
  millionths integer not null,
  primary key (account_id, day, currency)
) strict, without rowid;
create index carrier_bill_day on carrier_bill (day);
