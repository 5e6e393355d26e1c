//! Threads: one conversation per account and phone, the lists of them that staff look at, and the
//! texts that came in. Texts both ways stand in [`crate::conversations`].

use domain::ids::{AccountId, ContactId, InboundId, ThreadId};
use domain::instant::Instant;

use crate::db::{Result, Rows, Tx, expect_rows};
use crate::{contact_id, uuid};

/// A text that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// Its id.
    pub id: InboundId,
    /// The carrier's id of it; the same one twice is one text.
    pub sid: String,
    /// Whose text it is, E.164, a short code, or an address with its channel's prefix.
    pub phone: String,
    /// Which of our senders it came to.
    pub sender: String,
    /// What it says.
    pub body: String,
    /// Billed parts.
    pub segments: i64,
    /// Where its media are, as the carrier told.
    pub media: Vec<String>,
    /// `STOP`, `START` or `HELP` when the carrier has acted on it already.
    pub opt_out_type: Option<String>,
    /// What it was taken to mean, such as `yes` or `stop`.
    pub meaning: Option<String>,
    /// What followed from it, such as `confirmed` or `clarified`.
    pub outcome: Option<String>,
    /// When it came.
    pub received_at: Instant,
}

/// The conversation with this phone, made when there is none; it is open afterwards.
pub async fn open_thread(
    tx: &mut Tx,
    account: AccountId,
    fresh: ThreadId,
    phone: &str,
) -> Result<ThreadId> {
    let now = tx.now().0;
    tx.execute(
        "insert into thread (account_id, thread_id, phone, contact_id, state, inbound_at,
           updated_at)
         values ($1, $2, $3, (select contact_id from contact where account_id = $1 and phone = $3),
           'open', $4, $4)
         on conflict (account_id, phone) do update set state = 'open',
           contact_id = coalesce(thread.contact_id, excluded.contact_id),
           inbound_at = excluded.inbound_at, updated_at = excluded.updated_at",
        (account.0, fresh.0.to_vec(), phone.to_owned(), now),
    )
    .await?;
    id_of(tx, account, phone).await
}

/// The conversation with this phone, made open when there is none; one that is there stays as it
/// is.
pub async fn ensure_thread(
    tx: &mut Tx,
    account: AccountId,
    fresh: ThreadId,
    phone: &str,
) -> Result<ThreadId> {
    let now = tx.now().0;
    tx.execute(
        "insert into thread (account_id, thread_id, phone, contact_id, state, updated_at)
         values ($1, $2, $3, (select contact_id from contact where account_id = $1 and phone = $3),
           'open', $4)
         on conflict (account_id, phone) do nothing",
        (account.0, fresh.0.to_vec(), phone.to_owned(), now),
    )
    .await?;
    id_of(tx, account, phone).await
}

async fn id_of(tx: &mut Tx, account: AccountId, phone: &str) -> Result<ThreadId> {
    let text = "select thread_id from thread where account_id = $1 and phone = $2";
    let (id,): (Vec<u8>,) = tx.one(text, (account.0, phone.to_owned())).await?;
    Ok(ThreadId(uuid(id)?))
}

/// Keeps a text that came in; `false` when it is here already.
pub async fn insert_inbound(
    tx: &mut Tx,
    account: AccountId,
    thread: ThreadId,
    one: &Inbound,
) -> Result<bool> {
    let added = tx
        .execute(
            "insert into inbound (account_id, inbound_id, thread_id, sid, phone, sender_address,
               body, segments, media, opt_out_type, received_at, meaning, outcome)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
             on conflict (account_id, sid) do nothing",
            (
                account.0,
                one.id.0.to_vec(),
                thread.0.to_vec(),
                one.sid.clone(),
                one.phone.clone(),
                one.sender.clone(),
                one.body.clone(),
                one.segments,
                one.media.join("\n"),
                one.opt_out_type.clone(),
                one.received_at.0,
                one.meaning.clone(),
                one.outcome.clone(),
            ),
        )
        .await?;
    Ok(added == 1)
}

/// Whether a text is here already.
pub async fn has_inbound(tx: &mut Tx, account: AccountId, sid: &str) -> Result<bool> {
    let text = "select count(*) from inbound where account_id = $1 and sid = $2";
    let (n,): (i64,) = tx.one(text, (account.0, sid.to_owned())).await?;
    Ok(n > 0)
}

/// A conversation as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// Its id.
    pub id: ThreadId,
    /// With whom.
    pub phone: String,
    /// Who that is, when known.
    pub contact: Option<ContactId>,
    /// It waits for nothing more.
    pub closed: bool,
    /// Who of the staff cares for it.
    pub assignee: Option<String>,
    /// When the last text came in.
    pub inbound_at: Option<Instant>,
    /// When it was last asked what was meant; absent once an answer was understood.
    pub clarified_at: Option<Instant>,
    /// When anything last happened.
    pub updated_at: Instant,
}

type ThreadRow =
    (Vec<u8>, String, Option<Vec<u8>>, String, Option<String>, Option<i64>, Option<i64>, i64);

fn thread_of(row: ThreadRow) -> Result<Thread> {
    let (id, phone, contact, state, assignee, inbound_at, clarified_at, updated_at) = row;
    Ok(Thread {
        id: ThreadId(uuid(id)?),
        phone,
        contact: contact.map(contact_id).transpose()?,
        closed: state == "closed",
        assignee,
        inbound_at: inbound_at.map(Instant),
        clarified_at: clarified_at.map(Instant),
        updated_at: Instant(updated_at),
    })
}

/// The columns of a [`ThreadRow`].
macro_rules! thread_columns {
    () => {
        "select t.thread_id, t.phone, t.contact_id, t.state, t.assignee, t.inbound_at,
           t.clarified_at, t.updated_at from thread t where t.account_id = $1 "
    };
}

/// Which conversations are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// All of them.
    #[default]
    All,
    /// Those that wait for something.
    Open,
    /// Those that wait for nothing more.
    Closed,
    /// A request waits for an answer.
    Pending,
    /// Another time is to be found.
    Reschedule,
    /// A text did not arrive: a call is due, or the last text failed.
    Failed,
    /// The phone opted out of something.
    OptOuts,
    /// Open, and nobody cares for it.
    Unassigned,
}

impl View {
    /// Every view.
    pub const ALL: &[Self] = &[
        Self::All,
        Self::Open,
        Self::Closed,
        Self::Pending,
        Self::Reschedule,
        Self::Failed,
        Self::OptOuts,
        Self::Unassigned,
    ];

    /// The word used in JSON and on pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Pending => "pending",
            Self::Reschedule => "reschedule",
            Self::Failed => "failed",
            Self::OptOuts => "opt_outs",
            Self::Unassigned => "unassigned",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|view| view.as_str() == word)
    }

    const fn statement(self) -> &'static str {
        macro_rules! listing {
            ($narrowed:literal) => {
                concat!(
                    thread_columns!(),
                    $narrowed,
                    " and (t.updated_at < $2 or (t.updated_at = $2 and t.thread_id < $3))
                      and ($4 = '' or t.assignee = $4)
                      and ($5 = '' or t.phone like $5 or exists (select 1 from contact k
                        where k.account_id = t.account_id
                          and (k.contact_id = t.contact_id or k.phone = t.phone)
                          and (lower(k.name) like $6 escape '!' or k.name like $7 escape '!')))
                      order by t.updated_at desc, t.thread_id desc limit $8"
                )
            };
        }
        match self {
            Self::All => listing!(""),
            Self::Open => listing!("and t.state = 'open'"),
            Self::Closed => listing!("and t.state = 'closed'"),
            Self::Pending => listing!(
                "and t.phone in (select q.phone from request q
                   where q.account_id = $1 and q.state = 'pending')"
            ),
            Self::Reschedule => listing!(
                "and t.phone in (select k.phone from task k
                   where k.account_id = $1 and k.state = 'open' and k.kind = 'reschedule')"
            ),
            // The states of a text: 7 undelivered, 8 failed, 10 rejected, 15 absent.
            Self::Failed => listing!(
                "and (t.phone in (select k.phone from task k
                   where k.account_id = $1 and k.state = 'open' and k.kind = 'call')
                   or (select m.state from recipient r left join message m
                       on m.account_id = r.account_id and m.stream_id = r.stream_id
                         and m.ord = r.ord
                     where r.phone = t.phone and r.account_id = t.account_id
                     order by r.created_at desc, r.stream_id desc, r.ord desc limit 1)
                     in (7, 8, 10, 15))"
            ),
            Self::OptOuts => listing!(
                "and (t.phone in (select c.phone from consent c
                   where c.account_id = $1 and c.state = 2)
                   or t.phone in (select o.phone from sender_opt_out o where o.account_id = $1))"
            ),
            Self::Unassigned => listing!("and t.state = 'open' and t.assignee is null"),
        }
    }
}

/// What is looked for in a list of conversations.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Which list.
    pub view: View,
    /// Those this one cares for.
    pub assignee: Option<String>,
    /// Part of a name or of a number.
    pub words: Option<String>,
}

/// Behind every row of a list by time.
const LAST: (Instant, ThreadId) = (Instant(i64::MAX), ThreadId([0xFF; 16]));

/// An account's conversations behind `after`, the newest first.
pub async fn find_threads(
    tx: &mut Tx,
    account: AccountId,
    search: &Search,
    after: Option<(Instant, ThreadId)>,
    limit: i64,
) -> Result<Vec<Thread>> {
    let (at, id) = after.unwrap_or(LAST);
    let words = search.words.as_deref().map(str::trim).filter(|words| !words.is_empty());
    let digits: String = words.unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    let phone = match words {
        None => String::new(),
        // A number is looked for by its digits, a name has none or few.
        Some(_) if digits.len() >= 3 => format!("%{digits}%"),
        Some(_) => "-".to_owned(),
    };
    let name = |words: &str| {
        let plain = words.replace('!', "!!").replace('%', "!%").replace('_', "!_");
        format!("%{plain}%")
    };
    let rows: Vec<ThreadRow> = tx
        .all(
            search.view.statement(),
            (
                account.0,
                at.0,
                id.0.to_vec(),
                search.assignee.clone().unwrap_or_default(),
                phone,
                name(&words.unwrap_or_default().to_lowercase()),
                name(words.unwrap_or_default()),
                limit,
            ),
        )
        .await?;
    rows.into_iter().map(thread_of).collect()
}

/// An account's conversations, the newest first.
pub async fn list_threads(tx: &mut Tx, account: AccountId, limit: i64) -> Result<Vec<Thread>> {
    find_threads(tx, account, &Search::default(), None, limit).await
}

/// One conversation.
pub async fn find_thread(tx: &mut Tx, account: AccountId, id: ThreadId) -> Result<Option<Thread>> {
    let text = concat!(thread_columns!(), "and t.thread_id = $2");
    let row: Option<ThreadRow> = tx.optional(text, (account.0, id.0.to_vec())).await?;
    row.map(thread_of).transpose()
}

/// Writes what is changed by hand, and when it was last asked what was meant.
pub async fn save_thread(tx: &mut Tx, account: AccountId, thread: &Thread) -> Result<()> {
    let changed = tx
        .execute(
            "update thread set state = $3, assignee = $4, clarified_at = $5, updated_at = $6
             where account_id = $1 and thread_id = $2",
            (
                account.0,
                thread.id.0.to_vec(),
                if thread.closed { "closed" } else { "open" }.to_owned(),
                thread.assignee.clone(),
                thread.clarified_at.map(|at| at.0),
                thread.updated_at.0,
            ),
        )
        .await?;
    expect_rows("save a thread", 1, changed)
}

/// What a list shows of a conversation besides its row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The last text that came in.
    pub last_in: Option<(Instant, String)>,
    /// The last text that was sent, or is to be.
    pub last_out: Option<(Instant, String)>,
    /// Tasks that are open.
    pub open_tasks: i64,
    /// Requests that wait for an answer.
    pub open_requests: i64,
}

/// What a list shows of these conversations, in no order.
pub async fn summaries(
    tx: &mut Tx,
    account: AccountId,
    threads: &[Thread],
) -> Result<Vec<(ThreadId, Summary)>> {
    type SummaryRow = (Vec<u8>, Option<i64>, Option<String>, Option<i64>, Option<String>, i64, i64);
    let rows = Rows::of(threads.len())
        .bytes("thread_id", threads.iter().map(|one| one.id.0.to_vec()))
        .text("phone", threads.iter().map(|one| one.phone.clone()));
    let found: Vec<SummaryRow> = tx
        .all_of(
            "select r.thread_id,
               (select i.received_at from inbound i where i.account_id = $1
                  and i.thread_id = r.thread_id
                order by i.received_at desc, i.inbound_id desc limit 1),
               (select i.body from inbound i where i.account_id = $1
                  and i.thread_id = r.thread_id
                order by i.received_at desc, i.inbound_id desc limit 1),
               (select t.created_at from recipient t where t.phone = r.phone
                  and t.account_id = $1
                order by t.created_at desc, t.stream_id desc, t.ord desc limit 1),
               (select coalesce(t.body, (select c.sealed_body from campaign c
                    where c.account_id = t.account_id and c.stream_id = t.stream_id), '')
                  from recipient t where t.phone = r.phone and t.account_id = $1
                order by t.created_at desc, t.stream_id desc, t.ord desc limit 1),
               (select count(*) from task k where k.account_id = $1 and k.state = 'open'
                  and k.phone = r.phone),
               (select count(*) from request q where q.account_id = $1 and q.state = 'pending'
                  and q.phone = r.phone)
             from {rows}",
            (account.0,),
            rows,
        )
        .await?;
    found
        .into_iter()
        .map(|(id, in_at, in_body, out_at, out_body, open_tasks, open_requests)| {
            let last_in = in_at.map(Instant).zip(in_body);
            let last_out = out_at.map(Instant).zip(out_body);
            let summary = Summary { last_in, last_out, open_tasks, open_requests };
            Ok((ThreadId(uuid(id)?), summary))
        })
        .collect()
}

/// Texts that came in on a conversation, the newest first.
pub async fn inbound_of_thread(
    tx: &mut Tx,
    account: AccountId,
    thread: ThreadId,
    limit: i64,
) -> Result<Vec<Inbound>> {
    let last = (Instant(i64::MAX), InboundId([0xFF; 16]));
    inbound_before(tx, account, thread, last, limit).await
}

/// Texts that came in on a conversation before a place, the newest first.
pub async fn inbound_before(
    tx: &mut Tx,
    account: AccountId,
    thread: ThreadId,
    (at, id): (Instant, InboundId),
    limit: i64,
) -> Result<Vec<Inbound>> {
    type InboundRow = (
        i64,
        Vec<u8>,
        String,
        String,
        String,
        String,
        i64,
        String,
        Option<String>,
        Option<String>,
        Option<String>,
    );
    let rows: Vec<InboundRow> = tx
        .all(
            "select received_at, inbound_id, sid, phone, sender_address, body, segments, media,
               opt_out_type, meaning, outcome
             from inbound where account_id = $1 and thread_id = $2
               and (received_at < $3 or (received_at = $3 and inbound_id < $4))
             order by received_at desc, inbound_id desc limit $5",
            (account.0, thread.0.to_vec(), at.0, id.0.to_vec(), limit),
        )
        .await?;
    rows.into_iter()
        .map(|row| {
            let (at, id, sid, phone, sender, body, segments, media, told, meaning, outcome) = row;
            Ok(Inbound {
                id: InboundId(uuid(id)?),
                sid,
                phone,
                sender,
                body,
                segments,
                media: media.lines().map(str::to_owned).collect(),
                opt_out_type: told,
                meaning,
                outcome,
                received_at: Instant(at),
            })
        })
        .collect()
}
