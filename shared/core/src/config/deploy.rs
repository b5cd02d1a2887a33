//! How Lifeboat is deployed to an AWS account: `[deploy]`. Only `infra/` acts on it; everything else it derives.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::{Config, Origin, Rows, Schedule, Setting};

/// `[deploy]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployConfig {
    /// What the names of everything deployed begin with.
    pub name: Setting<String>,
    /// The AWS region; else that of the AWS environment.
    pub region: Option<Setting<String>>,
    /// The AWS account; else that of the credentials.
    pub account: Option<Setting<String>>,
    /// What the functions are built for.
    pub architecture: Setting<Architecture>,
    /// Whether objects are locked, and how.
    pub object_lock: Setting<ObjectLock>,
    /// The network in which databases are reached.
    pub vpc: Option<Setting<Vpc>>,
    /// Whether that network gets endpoints for the AWS services that functions call.
    pub vpc_endpoints: Setting<bool>,
    /// Where a second copy of everything lies.
    pub replica: Option<Setting<Replica>>,
    /// The image by which drills run on Fargate that outlast Lambda; without it none can.
    pub fargate_image: Option<Setting<String>>,
    /// How long CloudWatch keeps logs.
    pub log_retention_days: Setting<u32>,
    /// How many runs of each function there may be at once; without it, as many as the account allows.
    pub reserved_concurrency: Option<Setting<u32>>,
    /// Mail addresses that subscribe to the topic of alerts.
    pub emails: Setting<Vec<String>>,
    /// From how many databases on one rule starts them all.
    pub fleet_from: Setting<u32>,
    /// How many databases of a fleet are worked on at once.
    pub fleet_concurrency: Setting<u32>,
    /// When older backups are read back.
    pub verify_schedule: Setting<Schedule>,
    /// When retention runs.
    pub retention_schedule: Setting<Schedule>,
    /// When health looks.
    pub health_schedule: Setting<Schedule>,
}

/// A network that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Vpc {
    /// `vpc-…`
    pub id: String,
    /// `subnet-…`
    pub subnets: Vec<String>,
    /// `sg-…`; empty: one is made that lets out and nothing in.
    pub security_groups: Vec<String>,
    /// The subnets' zones, in their order.
    pub availability_zones: Vec<String>,
    /// `rtb-…`: where the gateway to S3 is entered, if there are to be endpoints.
    pub route_tables: Vec<String>,
}

/// Where the second copy lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replica {
    /// Its region.
    pub region: String,
    /// A bucket that exists, in another account say; without it one is made in this account.
    pub bucket: Option<String>,
    /// That bucket's account.
    pub account: Option<String>,
    /// The key that its objects are encrypted with.
    pub kms_key: Option<String>,
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$each:meta])* $variant:ident = $word:literal),+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$each])* $variant),+ }

        impl $name {
            /// Every word.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word in the file.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("'{text}' is none of {}", Self::WORDS.join(", "))),
                }
            }
        }
    };
}

words! {
    /// What the functions are built for.
    Architecture {
        /// Graviton: cheaper.
        Arm64 = "arm64",
        /// Everything else.
        X86 = "x86_64"
    }
}
words! {
    /// Whether stored objects are locked.
    ObjectLock {
        /// They are not.
        Off = "off",
        /// Whoever holds a special right can unlock them.
        Governance = "governance",
        /// Nobody can, the account's root neither.
        Compliance = "compliance"
    }
}

/// What CloudWatch Logs can keep logs for, in days.
pub const LOG_RETENTION_DAYS: [u32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

impl Default for DeployConfig {
    fn default() -> Self {
        let schedule = |text: &str| Setting::default_of(Schedule::unchecked(text));
        Self {
            name: Setting::default_of("lifeboat".to_owned()),
            region: None,
            account: None,
            architecture: Setting::default_of(Architecture::Arm64),
            object_lock: Setting::default_of(ObjectLock::Off),
            vpc: None,
            vpc_endpoints: Setting::default_of(false),
            replica: None,
            fargate_image: None,
            log_retention_days: Setting::default_of(365),
            reserved_concurrency: None,
            emails: Setting::default_of(Vec::new()),
            fleet_from: Setting::default_of(25),
            fleet_concurrency: Setting::default_of(20),
            verify_schedule: schedule("cron(0 6 ? * 1 *)"),
            retention_schedule: schedule("cron(0 5 * * ? *)"),
            health_schedule: schedule("rate(1 hour)"),
        }
    }
}

impl DeployConfig {
    pub(super) fn in_force(&self, rows: &mut Rows) {
        rows.set("deploy.name", &self.name);
        rows.maybe("deploy.region", self.region.as_ref());
        rows.maybe("deploy.account", self.account.as_ref());
        rows.set("deploy.architecture", &self.architecture);
        rows.set("deploy.object_lock", &self.object_lock);
        rows.maybe("deploy.vpc", self.vpc.as_ref());
        rows.set("deploy.vpc_endpoints", &self.vpc_endpoints);
        rows.maybe("deploy.replica", self.replica.as_ref());
        rows.maybe("deploy.fargate_image", self.fargate_image.as_ref());
        rows.set("deploy.log_retention_days", &self.log_retention_days);
        rows.maybe("deploy.reserved_concurrency", self.reserved_concurrency.as_ref());
        rows.set("deploy.emails", &self.emails);
        rows.set("deploy.fleet_from", &self.fleet_from);
        rows.set("deploy.fleet_concurrency", &self.fleet_concurrency);
        rows.set("deploy.verify_schedule", &self.verify_schedule);
        rows.set("deploy.retention_schedule", &self.retention_schedule);
        rows.set("deploy.health_schedule", &self.health_schedule);
    }
}

impl Config {
    /// From what ages on the alarms of each database go off, in seconds: they follow from objectives and schedules, by
    /// the same rules as the findings of health. Nobody else needs to know how to read these.
    pub(super) fn alarms_in_force(&self, rows: &mut Rows) {
        for (slug, database) in &self.databases {
            let thresholds = &database.health.thresholds;
            let path = format!("databases.{slug}.alarms");
            let backup = match (&database.rpo, &database.schedule) {
                (Some(rpo), _) => (json!(rpo.value.0), Origin::Derived("rpo")),
                (None, Some(_)) => (json!(thresholds.backup_age.0), Origin::Derived("health.backup_age")),
                (None, None) => (Value::Null, Origin::Default),
            };
            let drill = database.drill.schedule.as_ref().map_or((Value::Null, Origin::Default), |schedule| {
                let seconds = schedule.value.longest_pause_seconds() + thresholds.schedule_grace.0;
                (json!(seconds), Origin::Derived("drill.schedule"))
            });
            rows.push(format!("{path}.backup_age_seconds"), backup.0, &backup.1);
            rows.push(format!("{path}.drill_age_seconds"), drill.0, &drill.1);
        }
    }
}
