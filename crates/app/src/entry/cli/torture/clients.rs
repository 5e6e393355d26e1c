//! What happens while things are killed: credits are given in random pieces, single texts are
//! sent, people opt out, somebody pauses the campaign and resumes it. Every client repeats what was
//! not answered, under the same `Idempotency-Key`.

use std::time::Duration;

use domain::ids::MessageId;
use domain::seam::Dice;
use serde_json::json;
use tokio::time::sleep;

use super::call::{ANSWER_MAX, Ask};
use super::faults::{Role, dice, millis, one_in};
use super::scene::{Scene, Text, field, phone};
use crate::entry::cli::failure::Result;

/// Clients that send single texts at once.
pub const TEXTERS: u64 = 6;
/// A piece of credits pays at most such a part of the texts, but always some windows of them:
/// within one window nothing can go wrong between two commits.
const PIECES: u64 = 16;
const PIECE_LEAST: u64 = 400;
/// Of so many contacts one may opt out, so that most texts still leave.
const CONTACTS_PER_OPT_OUT: usize = 20;

/// Gives credits in random pieces, always fewer than the campaign could spend: it runs dry and is
/// funded again, over and over.
pub async fn grant(scene: &Scene, seed: u64) -> Result {
    let dice = dice(seed, Role::Granter);
    let pieces = u64::try_from(scene.contacts).unwrap_or(u64::MAX) / PIECES;
    let mut nth = 0;
    while !scene.over.get() {
        nth += 1;
        let piece = 1 + dice.below(pieces.max(PIECE_LEAST));
        let piece = i64::try_from(piece).unwrap_or(i64::MAX);
        while !scene.over.get() && !is_due(scene, piece) {
            sleep(millis(&dice, 20, 100)).await;
        }
        if !scene.over.get() {
            scene.grant(piece, &format!("piece-{nth}")).await?;
        }
    }
    Ok(())
}

/// Whether a piece should be given by now, for the campaign to last as long as the killing.
fn is_due(scene: &Scene, piece: i64) -> bool {
    let due = due(scene.texts(), scene.share_done.get());
    scene.told.borrow().granted + piece / 2 <= due
}

/// Credits that should have been given by now.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a rough share")]
fn due(texts: i64, share_done: f64) -> i64 {
    (texts as f64 * 0.9 * share_done) as i64
}

/// Sends single texts, each until it is answered. A hasty client hangs up before it can be; a
/// forgetful one asks once more afterwards.
pub async fn send_texts(scene: &Scene, seed: u64, texter: u64) -> Result {
    let dice = dice(seed, Role::Texter(texter));
    let mut nth = 0;
    while !scene.over.get() {
        nth += 1;
        send_text(scene, &dice, &format!("text-{texter}-{nth}")).await?;
        sleep(millis(&dice, 5, 200)).await;
    }
    Ok(())
}

async fn send_text(scene: &Scene, dice: &dyn Dice, key: &str) -> Result {
    let contact = dice.below(u64::try_from(scene.contacts).unwrap_or(u64::MAX));
    let to = phone(usize::try_from(contact).unwrap_or(0));
    let text = format!("Your appointment is confirmed. Reference {key}.");
    let body = json!({"to": to, "body": text, "context": "message.notification"}).to_string();
    let ask = Ask::post("/v1/messages", body.as_bytes()).once(key);
    if one_in(dice, 5) {
        scene.told.borrow_mut().repeated += 1;
        // The answer, if one comes in time, is thrown away.
        drop(scene.api.ask(&ask, millis(dice, 0, 15)).await);
    }
    let taken = scene.api.insist(&ask, ANSWER_MAX).await?.done("a single text")?;
    let id: MessageId = field(&taken, "id")?;
    scene.told.borrow_mut().texts.push(Text { id, to, body: text });
    if one_in(dice, 5) {
        let again = scene.api.insist(&ask, ANSWER_MAX).await?.done("a text asked for again")?;
        let other: MessageId = field(&again, "id")?;
        let told = &mut scene.told.borrow_mut();
        told.repeated += 1;
        if other != id {
            told.taken_twice.push(format!("the request {key} made {id} and {other}"));
        }
    }
    Ok(())
}

/// Contacts opt out, one after another.
pub async fn opt_out(scene: &Scene, seed: u64) -> Result {
    let dice = dice(seed, Role::OptOuts);
    let people = u64::try_from(scene.contacts).unwrap_or(u64::MAX);
    for nth in 0..scene.contacts / CONTACTS_PER_OPT_OUT {
        sleep(millis(&dice, 50, 600)).await;
        if scene.over.get() {
            break;
        }
        let phone = phone(usize::try_from(dice.below(people)).unwrap_or(0));
        let body = json!({"phone": phone, "consent": "opted_out"}).to_string();
        let key = format!("opt-out-{nth}");
        let ask = Ask::post("/v1/contacts", body.as_bytes()).once(&key);
        scene.api.insist(&ask, ANSWER_MAX).await?.done("an opt-out")?;
        scene.told.borrow_mut().opted_out.insert(phone);
    }
    Ok(())
}

/// Pauses the campaign now and then, and resumes it. Where it stands decides whether that fits.
pub async fn waver(scene: &Scene, seed: u64) -> Result {
    let dice = dice(seed, Role::Fickle);
    let mut nth = 0;
    while !scene.over.get() {
        sleep(millis(&dice, 300, 3000)).await;
        nth += 1;
        for (verb, pause) in [("pause", millis(&dice, 20, 500)), ("resume", Duration::ZERO)] {
            let path = scene.campaign_path(&format!("/{verb}"));
            let key = format!("{verb}-{nth}");
            let ask = Ask::post(&path, b"{}").once(&key);
            scene.api.insist(&ask, ANSWER_MAX).await?;
            sleep(pause).await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credits_never_reach_for_all_texts_while_things_are_killed() {
        for (texts, share_done, expected) in
            [(1000, 0.0, 0), (1000, 0.5, 450), (1000, 1.0, 900), (0, 1.0, 0)]
        {
            assert_eq!(due(texts, share_done), expected, "{texts} texts, {share_done}");
        }
    }
}
