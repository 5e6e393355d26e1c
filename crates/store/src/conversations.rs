//! What was written to a phone and from it, in the order of time: the texts of a conversation.

use domain::ids::{AccountId, InboundId, MessageId, StreamId};
use domain::instant::Instant;

use crate::damaged;
use crate::db::{Result, Tx, dialects};
use crate::messages::{Message, message_of};
use crate::threads::{Inbound, Thread, inbound_before};

/// A text that was written to a phone, sent or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// Its id.
    pub id: MessageId,
    /// What it says.
    pub body: String,
    /// Why it was written.
    pub context: String,
    /// When it was written.
    pub at: Instant,
    /// Its message, once it was taken up.
    pub message: Option<Message>,
    /// It was not taken up and never will be.
    pub over: bool,
}

/// A text of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It came in.
    In(Inbound),
    /// It was written to them.
    Out(Outbound),
}

/// The place of a text in its conversation; texts of one instant stand in the order in, out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Of a text that came in.
    In(Instant, InboundId),
    /// Of one that was written to them.
    Out(Instant, StreamId, i64),
}

impl Place {
    const fn at(self) -> Instant {
        match self {
            Self::In(at, _) | Self::Out(at, ..) => at,
        }
    }

    /// Its 25 bytes, which sort as places do.
    pub fn to_bytes(self) -> [u8; 25] {
        let mut bytes = [0; 25];
        bytes[..8].copy_from_slice(&self.at().0.to_be_bytes());
        match self {
            Self::In(_, id) => bytes[9..].copy_from_slice(&id.0),
            Self::Out(_, stream, ord) => {
                bytes[8] = 1;
                bytes[9..17].copy_from_slice(&stream.0.to_be_bytes());
                bytes[17..].copy_from_slice(&ord.to_be_bytes());
            }
        }
        bytes
    }

    /// Reads [`Self::to_bytes`].
    pub fn from_bytes(bytes: &[u8; 25]) -> Self {
        let number = |at: usize| {
            i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes of twenty-five"))
        };
        let at = Instant(number(0));
        if bytes[8] == 0 {
            let id = bytes[9..].try_into().expect("sixteen bytes of twenty-five");
            Self::In(at, InboundId(id))
        } else {
            Self::Out(at, StreamId(number(9)), number(17))
        }
    }
}

impl Said {
    /// Where it stands in its conversation.
    pub const fn place(&self) -> Place {
        match self {
            Self::In(one) => Place::In(one.received_at, one.id),
            Self::Out(one) => Place::Out(one.at, one.id.stream, one.id.ord),
        }
    }
}

/// The texts of a conversation before a place, the newest first.
pub async fn texts_before(
    tx: &mut Tx,
    account: AccountId,
    thread: &Thread,
    before: Option<Place>,
    limit: i64,
) -> Result<Vec<Said>> {
    let first = InboundId([0xFF; 16]);
    let (inbound, outbound) = match before {
        None => ((Instant(i64::MAX), first), (Instant(i64::MAX), i64::MAX, i64::MAX)),
        Some(Place::In(at, id)) => ((at, id), (at, i64::MIN, i64::MIN)),
        Some(Place::Out(at, stream, ord)) => ((at, first), (at, stream.0, ord)),
    };
    let came = inbound_before(tx, account, thread.id, inbound, limit).await?;
    let went = outbound_before(tx, account, &thread.phone, outbound, limit).await?;
    let mut all: Vec<Said> = came.into_iter().map(Said::In).collect();
    all.extend(went.into_iter().map(Said::Out));
    all.sort_by_key(|said| std::cmp::Reverse(said.place().to_bytes()));
    all.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(all)
}

type OutboundRow = (
    i64,
    i64,
    String,
    String,
    i64,
    i64,
    i64,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<String>,
    Option<i64>,
    Option<i64>,
    Option<String>,
);

/// Texts written to a phone before a place, the newest first.
async fn outbound_before(
    tx: &mut Tx,
    account: AccountId,
    phone: &str,
    (at, stream, ord): (Instant, i64, i64),
    limit: i64,
) -> Result<Vec<Outbound>> {
    // PostgreSQL looks each message up by its whole key, whatever its statistics say; SQLite does
    // so anyway and knows no lateral join.
    let text = dialects(
        "select t.stream_id, t.ord, coalesce(t.body, c.sealed_body, ''), t.context, t.created_at,
           t.price, s.state, m.attempt, m.state, m.chunk_no, m.sid, m.code, m.rule, m.why
         from recipient t
         join stream s on s.account_id = t.account_id and s.stream_id = t.stream_id
         left join campaign c on c.account_id = t.account_id and c.stream_id = t.stream_id
         left join message m on m.account_id = t.account_id and m.stream_id = t.stream_id
           and m.ord = t.ord
         where t.phone = $2 and t.account_id = $1 and t.created_at <= $3
           and (t.created_at < $3 or t.stream_id < $4 or (t.stream_id = $4 and t.ord < $5))
         order by t.created_at desc, t.stream_id desc, t.ord desc limit $6",
        "select t.stream_id, t.ord, coalesce(t.body, c.sealed_body, ''), t.context, t.created_at,
           t.price, s.state, m.attempt, m.state, m.chunk_no, m.sid, m.code, m.rule, m.why
         from recipient t
         join stream s on s.account_id = t.account_id and s.stream_id = t.stream_id
         left join campaign c on c.account_id = t.account_id and c.stream_id = t.stream_id
         left join lateral (
           select o.* from message o where o.account_id = t.account_id
             and o.stream_id = t.stream_id and o.ord = t.ord limit 1
         ) m on true
         where t.phone = $2 and t.account_id = $1 and t.created_at <= $3
           and (t.created_at < $3 or t.stream_id < $4 or (t.stream_id = $4 and t.ord < $5))
         order by t.created_at desc, t.stream_id desc, t.ord desc limit $6",
    );
    let rows: Vec<OutboundRow> =
        tx.all(text, (account.0, phone.to_owned(), at.0, stream, ord, limit)).await?;
    rows.into_iter().map(|row| outbound_of(account, row)).collect()
}

fn outbound_of(account: AccountId, row: OutboundRow) -> Result<Outbound> {
    let (stream, ord, body, context, at, price, around, attempt, state, chunk, ..) = row;
    let (.., sid, code, rule, why) = row;
    let message = match (attempt, state, chunk) {
        (Some(attempt), Some(state), Some(chunk)) => {
            Some(message_of((ord, attempt, state, chunk, price, sid, code, rule, why))?)
        }
        _ => None,
    };
    let around = domain::campaign::State::from_code(around)
        .ok_or_else(|| damaged("the state of a stream"))?;
    Ok(Outbound {
        id: MessageId { account, stream: StreamId(stream), ord },
        body,
        context,
        at: Instant(at),
        over: message.is_none() && around.is_over(),
        message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_sort_by_time_and_read_back_what_they_spell() {
        let early = Place::In(Instant(5), InboundId([9; 16]));
        let answer = Place::Out(Instant(5), StreamId(4), 1);
        let next = Place::Out(Instant(5), StreamId(4), 2);
        let late = Place::In(Instant(6), InboundId([0; 16]));
        let places = [early, answer, next, late];
        for pair in places.windows(2) {
            assert!(pair[0].to_bytes() < pair[1].to_bytes(), "{pair:?}");
        }
        for place in places {
            assert_eq!(Place::from_bytes(&place.to_bytes()), place);
        }
    }
}
