//! Mail over SMTP: how it is set, and how it leaves.
//!
//! A password never travels in the clear: unless the server is this machine, `smtp://` with a user
//! takes encryption from the server or fails.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::http::Uri;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::AsyncSmtpTransport;
use lettre::transport::smtp::client::{CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncTransport, Tokio1Executor};
use secrecy::{ExposeSecret, SecretString};

use super::settings::SettingError;
use crate::flow::notices::{Letter, LogMailer, MailFailed, Mailer, Posted};

/// How long a mail server may take for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// How long a mail may take in all; less than a notice is taken up for.
const MAIL_MAX: Duration = Duration::from_secs(120);

/// `LEDGERLINE_SMTP_URL`: the mail server, `smtp://user:password@host:port` or `smtps://…`.
pub const SMTP_URL: &str = "LEDGERLINE_SMTP_URL";
/// `LEDGERLINE_MAIL_FROM`: whom mail comes from, `books@example.com` or `Name <…>`.
pub const MAIL_FROM: &str = "LEDGERLINE_MAIL_FROM";

/// Where mail leaves from.
#[derive(Clone, Debug)]
pub struct MailSettings {
    url: SecretString,
    from: Mailbox,
}

impl MailSettings {
    /// Checks what was set; `None` when there is no mail server.
    pub fn checked(
        url: Option<String>,
        from: Option<String>,
    ) -> Result<Option<Self>, SettingError> {
        let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let bad = |name: &str, problem: &str| SettingError {
            name: name.to_owned(),
            problem: problem.to_owned(),
        };
        let Some(url) = filled(url) else { return Ok(None) };
        let Some(from) = filled(from) else {
            return Err(bad(MAIL_FROM, &format!("is missing beside {SMTP_URL}")));
        };
        let from = from
            .trim()
            .parse()
            .map_err(|_| bad(MAIL_FROM, "write an address such as books@example.com"))?;
        let mail = Self { url: url.trim().to_owned().into(), from };
        // The address holds a password: what is wrong with it is told without it.
        mail.transport().map_err(|_| {
            bad(
                SMTP_URL,
                "write smtp://user:password@host:port, or smtps:// for TLS from the start",
            )
        })?;
        Ok(Some(mail))
    }

    fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, MailFailed> {
        let url = self.url.expose_secret();
        let failed = |words: String| MailFailed(words);
        let parsed: Uri = url.parse().map_err(|_| failed("no address".to_owned()))?;
        let host = parsed.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let has_user = parsed.authority().is_some_and(|authority| authority.as_str().contains('@'));
        let tls = TlsParameters::builder(host.clone())
            .certificate_store(CertificateStore::WebpkiRoots)
            .build_rustls()
            .map_err(|error| failed(error.to_string()))?;
        let here = matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1");
        let tls = match parsed.scheme_str() {
            Some("smtps") => Tls::Wrapper(tls),
            Some("smtp") if here => Tls::None,
            Some("smtp") if has_user => Tls::Required(tls),
            Some("smtp") => Tls::Opportunistic(tls),
            _ => return Err(failed("no mail server".to_owned())),
        };
        let name = ClientId::Domain(self.from.email.domain().to_owned());
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|error| failed(error.to_string()))?;
        Ok(builder.tls(tls).hello_name(name).timeout(Some(ANSWER_MAX)).build())
    }
}

/// Who takes the installation's mail.
pub fn mailer(settings: Option<&MailSettings>) -> Result<Arc<dyn Mailer>, MailFailed> {
    Ok(match settings {
        None => Arc::new(LogMailer),
        Some(settings) => {
            let transport = settings.transport()?;
            Arc::new(SmtpMailer { transport, from: settings.from.clone() })
        }
    })
}

/// Sends mail to a server.
struct SmtpMailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer for SmtpMailer {
    fn post<'a>(&'a self, letter: &'a Letter) -> Posted<'a> {
        Box::pin(async move {
            let message = message(&self.from, letter)?;
            match tokio::time::timeout(MAIL_MAX, self.transport.send(message)).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(MailFailed(format!("{error:#}"))),
                Err(_) => Err(MailFailed(format!("no end after {} s", MAIL_MAX.as_secs()))),
            }
        })
    }
}

/// A letter as it travels. The same letter makes the same message, to the last byte.
fn message(from: &Mailbox, letter: &Letter) -> Result<Message, MailFailed> {
    let to: Mailbox =
        letter.to.parse().map_err(|_| MailFailed(format!("{:?} is no address", letter.to)))?;
    let since = u64::try_from(letter.written_at.seconds()).unwrap_or(0);
    Message::builder()
        .from(from.clone())
        .to(to)
        .subject(letter.subject.clone())
        .date(SystemTime::UNIX_EPOCH + Duration::from_secs(since))
        .message_id(Some(format!("<{}@{}>", letter.id, from.email.domain())))
        .header(ContentType::TEXT_PLAIN)
        .body(letter.body.clone())
        .map_err(|error| MailFailed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use domain::ids::NoticeId;
    use domain::instant::Instant;

    use super::*;

    fn letter(to: &str, subject: &str) -> Letter {
        Letter {
            id: NoticeId([7; 16]),
            to: to.to_owned(),
            subject: subject.to_owned(),
            body: "Words.\r\n.\r\nQUIT\r\n".to_owned(),
            written_at: Instant::parse("2026-11-21T17:00:00Z").expect("a time"),
        }
    }

    fn from() -> Mailbox {
        "Ledger <books@example.com>".parse().expect("an address")
    }

    #[test]
    fn a_bad_setting_is_named_and_its_password_is_not_told() {
        for (url, from, name) in [
            ("smtp://u:secret@mail.example.com", "", Some(MAIL_FROM)),
            ("smtp://u:secret@mail.example.com", "nobody", Some(MAIL_FROM)),
            ("http://u:secret@mail.example.com", "a@example.com", Some(SMTP_URL)),
            ("mail.example.com", "a@example.com", Some(SMTP_URL)),
            ("smtp://u:secret@mail.example.com:99999", "a@example.com", Some(SMTP_URL)),
            ("smtp://u:secret@mail.example.com:587", "a@example.com", None),
            ("smtps://u:s%40e@mail.example.com", "Ledger <a@example.com>", None),
            ("smtp://localhost:2525", "a@example.com", None),
        ] {
            let checked = MailSettings::checked(Some(url.to_owned()), Some(from.to_owned()));
            let found = checked.as_ref().err().map(|error| error.name.as_str());
            assert_eq!(found, name, "{url} {from}");
            assert!(!format!("{checked:?}").contains("secret"), "{url}");
        }
        assert!(MailSettings::checked(None, None).expect("no server").is_none());
    }

    #[test]
    fn a_letter_is_the_same_message_every_time() {
        let one = message(&from(), &letter("sam@example.org", "Clinic: paid")).expect("a message");
        let other = message(&from(), &letter("sam@example.org", "Clinic: paid")).expect("the same");
        assert_eq!(one.formatted(), other.formatted());
        let text = String::from_utf8(one.formatted()).expect("ASCII");
        let id = format!("Message-ID: <{}@example.com>\r\n", NoticeId([7; 16]));
        for line in [id.as_str(), "Date: Sat, 21 Nov 2026 17:00:00 +0000\r\n"] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn no_header_can_be_smuggled_in() {
        for (to, subject) in [
            ("sam@example.org", "paid\r\nBcc: eve@example.net"),
            ("sam@example.org", "paid\nBcc: eve@example.net"),
            ("sam@example.org", "paid\r\n\r\nBcc: eve@example.net"),
            ("sam@example.org", "päid\r\nBcc: eve@example.net"),
            ("sam@example.org\r\nBcc: eve@example.net", "paid"),
            ("sam@example.org, eve@example.net", "paid"),
            ("Sam\r\nBcc: eve@example.net <sam@example.org>", "paid"),
        ] {
            let made = message(&from(), &letter(to, subject));
            let Ok(made) = made else {
                assert_ne!(to, "sam@example.org", "{subject:?}");
                continue;
            };
            let text = String::from_utf8(made.formatted()).expect("ASCII");
            let (headers, _) = text.split_once("\r\n\r\n").expect("headers and a body");
            let smuggled = headers.lines().any(|line| line.to_lowercase().starts_with("bcc"));
            assert!(!smuggled, "{to:?} {subject:?}: {text}");
            let people: Vec<String> =
                made.envelope().to().iter().map(ToString::to_string).collect();
            assert_eq!(people, ["sam@example.org"], "{to:?} {subject:?}");
        }
    }
}
