-- Money: what customers pay, what their plans allow, what limits what they spend.

-- The ledger learns two more kinds of lines.
alter table ledger_entry drop constraint ledger_entry_kind_check;
alter table ledger_entry add constraint ledger_entry_kind_check check (kind in ('grant',
  'purchase', 'reserve', 'settle', 'release', 'refund', 'late_charge', 'adjustment', 'clawback',
  'expiry', 'dispute_hold', 'dispute_release'));
create index ledger_entry_at on ledger_entry (account_id, at);

-- A bought number of credits and the money for it, in minor units of the currency. `refunded` and
-- `disputed` are what is known of the money; `granted`, `clawed` and `held` the credits that were
-- moved for it so far, in `moves` lines of the ledger.
create table purchase (
  account_id bigint not null,
  purchase_id bytea not null,
  kind text not null check (kind in ('checkout', 'auto')),
  pack text,
  credits bigint not null check (credits > 0),
  amount bigint not null check (amount > 0),
  currency text not null,
  state text not null check (state in ('pending', 'paid', 'failed', 'expired', 'refunded',
    'disputed')),
  reason text,
  checkout text,
  checkout_url text,
  payment_intent text,
  -- Whether the card is kept for later; and, of an automatic purchase, which card pays.
  save_card bigint not null default 0 check (save_card in (0, 1)),
  payment_method text,
  paid_at bigint,
  refund_seen bigint not null default 0,
  refunded bigint not null default 0,
  disputed bigint not null default 0,
  granted bigint not null default 0,
  clawed bigint not null default 0,
  held bigint not null default 0,
  moves bigint not null default 0,
  tries bigint not null default 0,
  next_at bigint,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (account_id, purchase_id),
  check (clawed + held <= granted)
);
-- One automatic purchase of an account at a time.
create unique index purchase_in_flight on purchase (account_id)
  where kind = 'auto' and state = 'pending';
create index purchase_list on purchase (account_id, created_at);
create index purchase_next on purchase (next_at, account_id) where state = 'pending';

-- Each refund and dispute of a purchase, as last known.
create table money_back (
  account_id bigint not null,
  purchase_id bytea not null,
  object_id text not null,
  kind text not null check (kind in ('refund', 'dispute')),
  amount bigint not null check (amount >= 0),
  state text not null,
  version bigint not null,
  updated_at bigint not null,
  primary key (account_id, purchase_id, object_id)
);

-- A directory: whose a thing of Stripe's is, such as pi_…, cs_…, cus_…, sub_….
create table stripe_reference (
  reference text not null primary key,
  account_id bigint not null,
  purchase_id bytea
);

-- Every event, kept before it is applied. No account owns it until one is found.
create table stripe_event (
  event_id text not null primary key,
  kind text not null,
  created bigint not null,
  api_version text,
  livemode bigint not null check (livemode in (0, 1)),
  account_id bigint,
  reference text,
  body text not null,
  state text not null check (state in ('new', 'applied', 'ignored', 'unmatched', 'failed')),
  note text,
  tries bigint not null default 0,
  next_at bigint not null,
  received_at bigint not null,
  applied_at bigint
);
create index stripe_event_new on stripe_event (next_at) where state = 'new';
create index stripe_event_unmatched on stripe_event (reference) where state = 'unmatched';
create index stripe_event_received on stripe_event (received_at);

-- Who pays for an account at Stripe, and with which card when nobody is there.
create table payer (
  account_id bigint primary key,
  customer text,
  payment_method text,
  card_brand text,
  card_last4 text,
  card_expires text,
  consented_at bigint,
  -- The card that was taken away last; late news of it does not bring it back.
  detached text,
  updated_at bigint not null
);

create table auto_topup (
  account_id bigint primary key,
  enabled bigint not null check (enabled in (0, 1)),
  threshold bigint not null check (threshold >= 0),
  pack text not null,
  daily_cap bigint,
  monthly_cap bigint,
  failures bigint not null default 0,
  -- Why it buys nothing until a person does something.
  halted text,
  halted_at bigint,
  next_at bigint not null default 0,
  updated_at bigint not null
);
create index auto_topup_enabled on auto_topup (account_id) where enabled = 1;

create table subscription (
  account_id bigint primary key,
  plan text not null,
  state text not null check (state in ('incomplete', 'incomplete_expired', 'trialing', 'active',
    'past_due', 'unpaid', 'canceled', 'paused')),
  source text not null check (source in ('operator', 'stripe')),
  stripe_subscription text,
  period_start bigint not null,
  period_end bigint not null,
  cancel_at_period_end bigint not null check (cancel_at_period_end in (0, 1)),
  past_due_since bigint,
  -- Which news of it is the newest known; older news changes nothing.
  version bigint not null,
  -- What Stripe said of each of the account's subscriptions, as JSON.
  heard text not null default '[]',
  next_at bigint,
  updated_at bigint not null
);
create index subscription_next on subscription (next_at) where next_at is not null;

-- Credits that expire: an interval on the axis of the account's credits in the order of their use;
-- the `expired` ones are cut out of it. `look_at` is when the timer looks at them next.
create table lot (
  account_id bigint not null,
  lot_id bytea not null,
  source text not null,
  start bigint not null,
  size bigint not null check (size > 0),
  expires_at bigint not null,
  expired bigint not null default 0,
  expiries bigint not null default 0,
  state text not null check (state in ('open', 'closed')),
  look_at bigint not null,
  created_at bigint not null,
  primary key (account_id, lot_id),
  unique (account_id, source)
);
create index lot_due on lot (look_at, account_id) where state = 'open';
create index lot_open on lot (account_id, start) where state = 'open';

-- An operator's movement of credits that a second one must agree to.
create table adjustment (
  account_id bigint not null,
  adjustment_id bytea not null,
  amount bigint not null,
  reason text not null,
  state text not null check (state in ('proposed', 'approved', 'rejected')),
  proposed_by text not null,
  decided_by text,
  created_at bigint not null,
  decided_at bigint,
  primary key (account_id, adjustment_id)
);
create index adjustment_id on adjustment (adjustment_id);

-- What an account may spend in a day and a month, in credits. `day_base` and `month_base` are what
-- was ever used (spent and reserved) when the day and the month began.
create table budget (
  account_id bigint primary key,
  daily_credits bigint,
  monthly_credits bigint,
  day_start bigint not null default 0,
  day_base bigint not null default 0,
  day_warned bigint not null default 0,
  month_start bigint not null default 0,
  month_base bigint not null default 0,
  month_warned bigint not null default 0,
  updated_at bigint not null
);

-- Texts to numbers that begin alike, hour by hour; `low` and `high` have a bit for each number of
-- a block of a hundred.
create table velocity (
  account_id bigint not null,
  hour bigint not null,
  prefix text not null,
  n bigint not null,
  low bigint not null,
  high bigint not null,
  primary key (account_id, hour, prefix)
);
create index velocity_old on velocity (hour, account_id);

-- What left within the last hour, where an account limits that: bookings reminded of, and single
-- texts.
create table departure (
  account_id bigint not null,
  kind text not null check (kind in ('reminder', 'text')),
  subject bytea not null,
  left_at bigint not null,
  primary key (account_id, kind, subject)
);
create index departure_time on departure (account_id, kind, left_at);
-- Finds the booking that a text reminds of.
create index reminder_text on reminder (account_id, stream_id, ord) where stream_id is not null;

-- What keeps an account's texts from leaving until a person lifts it.
create table hold (
  account_id bigint not null,
  hold_id bytea not null,
  kind text not null,
  subject text not null,
  reason text not null,
  since bigint not null,
  lifted_at bigint,
  lifted_by text,
  primary key (account_id, hold_id)
);
create unique index hold_open on hold (account_id, kind, subject) where lifted_at is null;

-- What an account should know; `subject` names what a notice is about, so that it is given once.
create table notice (
  account_id bigint not null,
  notice_id bytea not null,
  kind text not null,
  subject text not null,
  title text not null,
  detail text not null,
  link text,
  created_at bigint not null,
  seen_at bigint,
  -- none: nobody to write to; due: to be mailed from next_at on.
  mail text not null check (mail in ('none', 'due', 'sent', 'failed')),
  tries bigint not null default 0,
  next_at bigint,
  primary key (account_id, notice_id),
  unique (account_id, subject)
);
create index notice_list on notice (account_id, created_at);
create index notice_mail on notice (next_at, account_id) where mail = 'due';

-- The price list learns destinations by country, channels and what the carrier takes: millionths
-- of the currency per segment.
create table rate_after (
  destination text not null,
  sender_kind text not null,
  channel text not null check (channel in ('any', 'sms', 'mms', 'whatsapp')),
  effective_from bigint not null,
  credits_per_segment bigint not null check (credits_per_segment > 0),
  carrier_price bigint check (carrier_price >= 0),
  currency text,
  primary key (destination, sender_kind, channel, effective_from)
);
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
  account_id bigint not null,
  day bigint not null,
  currency text not null,
  texts bigint not null,
  segments bigint not null,
  priced_segments bigint not null,
  unbilled bigint not null,
  millionths bigint not null,
  primary key (account_id, day, currency)
);
create index carrier_bill_day on carrier_bill (day);
