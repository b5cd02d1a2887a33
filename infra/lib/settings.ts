//! The configuration as `lifeboat config check --output json` prints it: one parser, one set of defaults.
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';

/** Where a URL is kept: the URL itself, or a table that says where. */
export type UrlSetting = string | { env?: string; file?: string; secret?: string; server?: string; rds_iam?: string };

/** Where a secret setting is kept. */
export type SecretSetting = { env?: string; file?: string; secret?: string; key?: string };

/** `drill.scratch`: `local`, a server, or an RDS instance of one's own. */
export type ScratchSetting = 'local' | { server?: UrlSetting; rds?: { [key: string]: unknown } };

export interface TierSettings {
  keep: number | null;
  max_age_days: number | null;
  storage_class: string | null;
}

export interface DatabaseSettings {
  url: UrlSetting | null;
  schedule: string | null;
  rpo: string | null;
  runner: 'lambda' | 'fargate' | 'auto';
  /** Public keys that its backups are encrypted to. */
  encrypt_to: string[];
  /** Where the key is kept that opens its backups. */
  identity: SecretSetting | null;
  /** Where the passphrase is kept by which it is locked. */
  identity_passphrase: SecretSetting | null;
  /** Where the passphrase is kept that keeps the key of each backup. */
  passphrase: SecretSetting | null;
  retention: { daily: TierSettings; weekly: TierSettings; monthly: TierSettings; grace_days: number };
  drill: { schedule: string | null; select: string; scratch: ScratchSetting };
  maintenance: { schedule: string | null };
  alarms: { backup_age_seconds: number | null; drill_age_seconds: number | null };
}

export interface ChannelSettings {
  slack?: SecretSetting | null;
  webhook?: { url: SecretSetting | null; routing_key: SecretSetting | null } | null;
  email?: { from: string; to: string[]; smtp: SecretSetting | null; ses: boolean } | null;
}

export interface VpcSettings {
  id: string;
  subnets: string[];
  security_groups: string[];
  availability_zones: string[];
  route_tables: string[];
}

export interface ReplicaSettings {
  region: string;
  bucket: string | null;
  account: string | null;
  kms_key: string | null;
}

export interface DeploySettings {
  name: string;
  region: string | null;
  account: string | null;
  architecture: 'arm64' | 'x86_64';
  object_lock: 'off' | 'governance' | 'compliance';
  vpc: VpcSettings | null;
  vpc_endpoints: boolean;
  replica: ReplicaSettings | null;
  fargate_image: string | null;
  log_retention_days: number;
  reserved_concurrency: number | null;
  emails: string[];
  fleet_from: number;
  fleet_concurrency: number;
  verify_schedule: string;
  retention_schedule: string;
  health_schedule: string;
}

/** A database that a backup may be restored to, by its name in the configuration. */
export interface RestoreTarget {
  url: UrlSetting;
  before?: HookSetting[];
  after?: HookSetting[];
}

/** What is done before or after a restore: a command, or the call of an address. */
export interface HookSetting {
  command?: string[];
  webhook?: SecretSetting;
}

/** The whole configuration in force. */
export interface Settings {
  /** The file it came from. */
  file: string | null;
  store: { url: string | null };
  control_store: { url: string | null };
  tls: { root_cert: string | null };
  alerts: { topic: string | null; channels?: { [name: string]: ChannelSettings } };
  deploy: DeploySettings;
  restore?: { targets?: { [name: string]: RestoreTarget } };
  databases: { [slug: string]: DatabaseSettings };
  /** Where each value came from, by its full key. */
  origins: { [key: string]: string };
}

/** The repository's root. */
export const REPOSITORY = path.resolve(__dirname, '..', '..');

/** Reads a `lifeboat.toml`; what is wrong with it is said by the program. */
export function readSettings(file: string): Settings {
  // The AWS command line's endpoints are of this machine, not of what is deployed.
  const { LIFEBOAT_STORE, LIFEBOAT_CONTROL_STORE, LIFEBOAT_DATABASE_URL, ...environment } = process.env;
  const options = ['--config', path.resolve(file), '--output', 'json', 'config', 'check'];
  try {
    const text = execFileSync(program(), options, { env: environment, encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'pipe'] });
    return JSON.parse(text) as Settings;
  } catch (error) {
    const said = (error as { stdout?: string }).stdout;
    throw new Error(said ? told(said) : `cannot read the configuration: ${(error as Error).message}`);
  }
}

/** The program's own error, for people. */
function told(output: string): string {
  try {
    const { error } = JSON.parse(output) as { error: { message: string; hint: string } };
    return `${error.message}\nhint: ${error.hint}`;
  } catch {
    return output;
  }
}

/** The `lifeboat` program: the one named by LIFEBOAT_PROGRAM, else the newest that cargo has built, else the one on the PATH. */
function program(): string {
  const named = process.env.LIFEBOAT_PROGRAM;
  if (named) return named;
  const target = path.resolve(REPOSITORY, process.env.CARGO_TARGET_DIR ?? 'target');
  const built = ['release', 'debug'].map((profile) => path.join(target, profile, 'lifeboat')).filter((p) => fs.existsSync(p));
  built.sort((a, b) => fs.statSync(b).mtimeMs - fs.statSync(a).mtimeMs);
  return built[0] ?? 'lifeboat';
}

/** The names of everything that is deployed, all from `deploy.name`. */
export class Names {
  constructor(readonly prefix: string) {}

  /** `acme-prod` → `AcmeProd`: what stacks begin with. */
  get stack(): string {
    return this.prefix.split('-').map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
  }

  /** A name of at most 64 characters: long slugs are cut, and told apart by a hash of the whole. */
  of(...parts: string[]): string {
    const whole = [this.prefix, ...parts].join('-');
    return whole.length <= 64 ? whole : `${whole.slice(0, 55)}-${hash(whole)}`;
  }
}

/** Eight letters that tell long names apart (FNV-1a). */
function hash(text: string): string {
  let value = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(text)) value = ((value ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  return value.toString(16).padStart(16, '0').slice(0, 8);
}

/** The databases that functions work on, by their names. */
export function databases(settings: Settings): [string, DatabaseSettings][] {
  return Object.entries(settings.databases).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Whether one rule starts the whole fleet. */
export function isFleet(settings: Settings): boolean {
  return Object.keys(settings.databases).length >= settings.deploy.fleet_from;
}

/** A drill's scratch target by its kind. */
export function scratchKind(database: DatabaseSettings): 'local' | 'server' | 'rds' {
  const scratch = database.drill.scratch;
  if (scratch === 'local') return 'local';
  return scratch.rds ? 'rds' : 'server';
}

/** How many days the shortest tier keeps a backup: what Object Lock may lock without outlasting retention. */
export function shortestTierDays(settings: Settings): number {
  const reach = (tier: TierSettings, unit: number): number[] => {
    const by = [tier.keep === null ? null : tier.keep * unit, tier.max_age_days];
    return by.filter((days): days is number => days !== null && days > 0);
  };
  const days = databases(settings).flatMap(([, { retention }]) => [
    ...reach(retention.daily, 1),
    ...reach(retention.weekly, 7),
    ...reach(retention.monthly, 28),
  ]);
  return Math.max(1, Math.min(...days, 30));
}
