//! Values as Stripe's forms spell them: `line_items[0][price_data][currency]=usd`.

use form_urlencoded::Serializer;

use crate::api::{
    CheckoutIn, CustomerIn, Line, Mode, OffSessionPaymentIn, PriceChange, RefundIn,
    SubscriptionPatch,
};
use crate::objects::Metadata;

/// What can be asked in a form.
pub trait Formed {
    /// Writes it.
    fn write(&self, form: &mut Form);
}

/// The body of a request.
pub fn body_of(it: &impl Formed) -> String {
    let mut form = Form(Serializer::new(String::new()));
    it.write(&mut form);
    form.0.finish()
}

/// A form that is being written.
pub struct Form(Serializer<'static, String>);

impl Form {
    fn put(&mut self, name: &str, value: impl AsRef<str>) {
        self.0.append_pair(name, value.as_ref());
    }

    fn put_some(&mut self, name: &str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    fn put_metadata(&mut self, below: &str, metadata: &Metadata) {
        for (key, value) in metadata {
            let name = match below {
                "" => format!("metadata[{key}]"),
                _ => format!("{below}[metadata][{key}]"),
            };
            self.put(&name, value);
        }
    }

    fn put_line(&mut self, index: usize, line: &Line) {
        let below = format!("line_items[{index}]");
        self.put(&format!("{below}[quantity]"), line.quantity.to_string());
        let below = format!("{below}[price_data]");
        self.put(&format!("{below}[currency]"), &line.currency);
        self.put(&format!("{below}[unit_amount]"), line.amount.to_string());
        self.put(&format!("{below}[product_data][name]"), &line.name);
        let description = format!("{below}[product_data][description]");
        self.put_some(&description, line.description.as_deref());
        if line.recurring.is_some() {
            self.put(&format!("{below}[recurring][interval]"), "month");
        }
    }
}

impl Formed for CustomerIn {
    fn write(&self, form: &mut Form) {
        form.put_some("email", self.email.as_deref());
        form.put_some("name", self.name.as_deref());
        form.put_metadata("", &self.metadata);
    }
}

impl Formed for CheckoutIn {
    fn write(&self, form: &mut Form) {
        form.put("mode", self.mode.as_str());
        form.put_some("customer", self.customer.as_deref());
        form.put("success_url", &self.success_url);
        form.put("cancel_url", &self.cancel_url);
        form.put_some("client_reference_id", self.client_reference_id.as_deref());
        form.put_some("expires_at", self.expires_at.map(|at| at.to_string()));
        for (index, line) in self.lines.iter().enumerate() {
            form.put_line(index, line);
        }
        form.put_metadata("", &self.metadata);
        let made = match self.mode {
            Mode::Payment => "payment_intent_data",
            Mode::Setup => "setup_intent_data",
            Mode::Subscription => "subscription_data",
        };
        form.put_metadata(made, &self.metadata);
        match self.mode {
            Mode::Payment if self.save_card => {
                form.put("payment_intent_data[setup_future_usage]", "off_session");
            }
            // What is saved must be a card, to be charged without its owner.
            Mode::Setup => form.put("payment_method_types[0]", "card"),
            Mode::Subscription => {
                let days = self.trial_days.map(|days| days.to_string());
                form.put_some("subscription_data[trial_period_days]", days);
            }
            Mode::Payment => {}
        }
        if self.automatic_tax {
            form.put("automatic_tax[enabled]", "true");
            // The tax depends on the address, which the page may have to ask for.
            form.put_some("customer_update[address]", self.customer.as_ref().map(|_| "auto"));
        }
    }
}

impl Formed for OffSessionPaymentIn {
    fn write(&self, form: &mut Form) {
        form.put("amount", self.amount.to_string());
        form.put("currency", &self.currency);
        form.put("customer", &self.customer);
        form.put("payment_method", &self.payment_method);
        // Without this Stripe may offer ways that lead through a browser, and asks where to return.
        form.put("payment_method_types[0]", "card");
        form.put("off_session", "true");
        form.put("confirm", "true");
        form.put_some("description", self.description.as_deref());
        let suffix = self.statement_descriptor_suffix.as_deref();
        form.put_some("statement_descriptor_suffix", suffix);
        form.put_metadata("", &self.metadata);
    }
}

impl Formed for RefundIn {
    fn write(&self, form: &mut Form) {
        form.put("payment_intent", &self.payment_intent);
        form.put_some("amount", self.amount.map(|amount| amount.to_string()));
        form.put_some("reason", self.reason.as_deref());
        form.put_metadata("", &self.metadata);
    }
}

impl Formed for SubscriptionPatch {
    fn write(&self, form: &mut Form) {
        if let Some(PriceChange { item, product, amount, currency, proration, .. }) = &self.price {
            form.put("items[0][id]", item);
            form.put("items[0][price_data][product]", product);
            form.put("items[0][price_data][currency]", currency);
            form.put("items[0][price_data][unit_amount]", amount.to_string());
            form.put("items[0][price_data][recurring][interval]", "month");
            form.put("proration_behavior", proration.as_str());
        }
        let ends = self.cancel_at_period_end.map(|ends| ends.to_string());
        form.put_some("cancel_at_period_end", ends);
        form.put_metadata("", &self.metadata);
    }
}
