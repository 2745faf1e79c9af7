//! `receivers`: whom to tell, by which integrations.

use std::collections::BTreeMap;

use super::global::Global;
use super::http::HttpConfig;
use super::yaml::block;
use crate::integrations::{
    DiscordConfig, EmailConfig, IncidentioConfig, JiraConfig, MattermostConfig, MsTeamsConfig,
    MsTeamsV2Config, OpsGenieConfig, PagerdutyConfig, PushoverConfig, RocketchatConfig,
    SlackConfig, SnsConfig, TelegramConfig, VictorOpsConfig, WebexConfig, WebhookConfig,
    WechatConfig,
};
use crate::message::{Answer, Step};
use crate::render::Context;

/// What every block of `<kind>_configs` has in common.
pub(crate) trait Integration {
    /// The name of the kind in logs, metrics and the notification log.
    const KIND: &'static str;

    /// Takes over from `global` what is not set here.
    fn inherit(&mut self, global: &Global) -> Result<(), String>;

    /// Whether a message is sent when alerts resolve.
    fn send_resolved(&self) -> bool;

    /// How to reach the service; e-mail has none.
    fn http_mut(&mut self) -> Option<&mut HttpConfig>;

    /// The next step of a delivery, given the answers so far; an error is final.
    fn step(&self, context: &Context<'_>, answers: &[Answer]) -> Result<Step, String>;
}

/// Implements the parts of [`Integration`] that are alike: `send_resolved` and `http_config`.
macro_rules! integration {
    ($name:ident, $kind:literal, |$this:ident, $global:ident| $inherit:block) => {
        impl crate::config::receiver::Integration for $name {
            const KIND: &'static str = $kind;

            fn inherit(&mut self, $global: &crate::config::global::Global) -> Result<(), String> {
                let $this = self;
                if $this.http_config.is_none() {
                    $this.http_config = Some($global.http());
                }
                $inherit
            }

            fn send_resolved(&self) -> bool {
                self.send_resolved
            }

            fn http_mut(&mut self) -> Option<&mut crate::config::http::HttpConfig> {
                self.http_config.as_mut()
            }

            fn step(
                &self,
                context: &crate::render::Context<'_>,
                answers: &[crate::message::Answer],
            ) -> Result<crate::message::Step, String> {
                self.advance(context, answers)
            }
        }
    };
}
pub(crate) use integration;

block! {
    /// Whom to tell, by which integrations.
    Receiver {
        name: String = String::new(),
        labels: BTreeMap<String, String> = BTreeMap::new(),
        discord_configs: Vec<DiscordConfig> = Vec::new(),
        email_configs: Vec<EmailConfig> = Vec::new(),
        incidentio_configs: Vec<IncidentioConfig> = Vec::new(),
        pagerduty_configs: Vec<PagerdutyConfig> = Vec::new(),
        slack_configs: Vec<SlackConfig> = Vec::new(),
        webhook_configs: Vec<WebhookConfig> = Vec::new(),
        opsgenie_configs: Vec<OpsGenieConfig> = Vec::new(),
        wechat_configs: Vec<WechatConfig> = Vec::new(),
        pushover_configs: Vec<PushoverConfig> = Vec::new(),
        victorops_configs: Vec<VictorOpsConfig> = Vec::new(),
        sns_configs: Vec<SnsConfig> = Vec::new(),
        telegram_configs: Vec<TelegramConfig> = Vec::new(),
        webex_configs: Vec<WebexConfig> = Vec::new(),
        msteams_configs: Vec<MsTeamsConfig> = Vec::new(),
        msteamsv2_configs: Vec<MsTeamsV2Config> = Vec::new(),
        jira_configs: Vec<JiraConfig> = Vec::new(),
        rocketchat_configs: Vec<RocketchatConfig> = Vec::new(),
        mattermost_configs: Vec<MattermostConfig> = Vec::new(),
    }
    check(receiver) {
        if receiver.name.is_empty() {
            return Err("missing name in receiver".to_owned());
        }
        match receiver.labels.get("name") {
            Some(name) if *name != receiver.name => Err(format!(
                "receiver label \"name\" must match receiver name {:?}, got {name:?}",
                receiver.name
            )),
            _ => Ok(()),
        }
    }
}

/// Runs one statement for every list of integrations, in the order in which Alertmanager checks them.
macro_rules! for_each_list {
    ($receiver:expr, $list:ident => $body:expr) => {{
        let receiver = $receiver;
        {
            let $list = &mut receiver.webhook_configs;
            $body
        }
        {
            let $list = &mut receiver.email_configs;
            $body
        }
        {
            let $list = &mut receiver.slack_configs;
            $body
        }
        {
            let $list = &mut receiver.pushover_configs;
            $body
        }
        {
            let $list = &mut receiver.pagerduty_configs;
            $body
        }
        {
            let $list = &mut receiver.incidentio_configs;
            $body
        }
        {
            let $list = &mut receiver.opsgenie_configs;
            $body
        }
        {
            let $list = &mut receiver.wechat_configs;
            $body
        }
        {
            let $list = &mut receiver.victorops_configs;
            $body
        }
        {
            let $list = &mut receiver.sns_configs;
            $body
        }
        {
            let $list = &mut receiver.telegram_configs;
            $body
        }
        {
            let $list = &mut receiver.discord_configs;
            $body
        }
        {
            let $list = &mut receiver.webex_configs;
            $body
        }
        {
            let $list = &mut receiver.msteams_configs;
            $body
        }
        {
            let $list = &mut receiver.msteamsv2_configs;
            $body
        }
        {
            let $list = &mut receiver.jira_configs;
            $body
        }
        {
            let $list = &mut receiver.rocketchat_configs;
            $body
        }
        {
            let $list = &mut receiver.mattermost_configs;
            $body
        }
    }};
}

/// Finds the integration of a kind by its index and asks it for the next step.
macro_rules! find_integration {
    ($receiver:expr, $kind:expr, $index:expr, $found:ident => $body:expr, [$($list:ident: $config:ident),* $(,)?]) => {
        match $kind {
            $( <$config as Integration>::KIND => $receiver.$list.get($index).map(|$found| $body), )*
            _ => None,
        }
    };
}

impl Receiver {
    /// Its labels for queries; its name is always one of them.
    pub(crate) fn query_labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.labels.clone();
        labels.insert("name".to_owned(), self.name.clone());
        labels
    }

    /// The next step of a delivery by one of the integrations; None where there is no such integration.
    pub(crate) fn step(
        &self,
        kind: &str,
        index: usize,
        context: &Context<'_>,
        answers: &[Answer],
    ) -> Option<Result<Step, String>> {
        find_integration!(self, kind, index, found => found.step(context, answers), [
            discord_configs: DiscordConfig,
            email_configs: EmailConfig,
            incidentio_configs: IncidentioConfig,
            jira_configs: JiraConfig,
            mattermost_configs: MattermostConfig,
            msteams_configs: MsTeamsConfig,
            msteamsv2_configs: MsTeamsV2Config,
            opsgenie_configs: OpsGenieConfig,
            pagerduty_configs: PagerdutyConfig,
            pushover_configs: PushoverConfig,
            rocketchat_configs: RocketchatConfig,
            slack_configs: SlackConfig,
            sns_configs: SnsConfig,
            telegram_configs: TelegramConfig,
            victorops_configs: VictorOpsConfig,
            webex_configs: WebexConfig,
            webhook_configs: WebhookConfig,
            wechat_configs: WechatConfig,
        ])
    }

    /// Takes over from `global` what the integrations do not set themselves.
    pub(crate) fn inherit(&mut self, global: &Global) -> Result<(), String> {
        for_each_list!(self, list => for integration in list {
            integration.inherit(global)?;
        });
        Ok(())
    }

    /// Every file that the `http_config` blocks name.
    pub(crate) fn files_mut(&mut self) -> Vec<&mut String> {
        let mut files = Vec::new();
        for_each_list!(self, list => files.extend(
            list.iter_mut().filter_map(Integration::http_mut).flat_map(HttpConfig::files_mut)
        ));
        files
    }
}
