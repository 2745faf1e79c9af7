//! The kinds of integrations, one file each: their block of alertmanager.yml and the message that they send.

mod discord;
mod email;
mod incidentio;
mod jira;
mod mattermost;
mod msteams;
mod msteamsv2;
mod opsgenie;
mod pagerduty;
mod pushover;
mod rocketchat;
mod slack;
mod sns;
mod telegram;
mod victorops;
mod webex;
mod webhook;
mod wechat;

pub(crate) use discord::DiscordConfig;
pub(crate) use email::EmailConfig;
pub(crate) use incidentio::IncidentioConfig;
pub(crate) use jira::JiraConfig;
pub(crate) use mattermost::MattermostConfig;
pub(crate) use msteams::MsTeamsConfig;
pub(crate) use msteamsv2::MsTeamsV2Config;
pub(crate) use opsgenie::OpsGenieConfig;
pub(crate) use pagerduty::PagerdutyConfig;
pub(crate) use pushover::PushoverConfig;
pub(crate) use rocketchat::RocketchatConfig;
pub(crate) use slack::SlackConfig;
pub(crate) use sns::SnsConfig;
pub(crate) use telegram::TelegramConfig;
pub(crate) use victorops::VictorOpsConfig;
pub(crate) use webex::WebexConfig;
pub(crate) use webhook::WebhookConfig;
pub(crate) use wechat::WechatConfig;
