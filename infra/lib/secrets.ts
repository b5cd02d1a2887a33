//! Whose secrets the configuration names, and by what a role is given them: each, or the folder that many share.
import { FunctionName } from './catalog';
import { SecretSetting, Settings, UrlSetting, databases } from './settings';

/** Whose a secret is. */
export type Kind = 'source' | 'scratch' | 'target' | 'channel' | 'identity' | 'passphrase';

/** How an error calls them. */
export const KINDS: { [kind in Kind]: string } = {
  source: 'databases',
  scratch: 'scratch servers',
  target: 'restore targets and their hooks',
  channel: 'channels',
  identity: 'keys that open backups',
  passphrase: 'passphrases of backups',
};

/** Whose secrets a function reads, besides that of a scratch instance. */
export const READS: { [name in FunctionName]?: Kind[] } = {
  // A passphrase seals and opens: whoever makes such backups can read them.
  dump: ['source', 'passphrase'],
  maintenance: ['source'],
  // It measures the servers of drills too.
  health: ['source', 'scratch'],
  drill: ['scratch', 'identity', 'passphrase'],
  'drill-data': ['identity', 'passphrase'],
  // The backup before it is one of the target: where a backup came from, a restore never asks.
  // What makes backups, and what verifies them, cannot read them: the keys are those of who restores.
  restore: ['target', 'identity', 'passphrase'],
  notify: ['channel'],
};

type Place = UrlSetting | SecretSetting;

/** The databases of a kind that are connected to. */
export function urlsOf(kind: Kind, settings: Settings): UrlSetting[] {
  const all = databases(settings);
  const found: (UrlSetting | null | undefined)[] = {
    source: all.map(([, { url }]) => url),
    scratch: all.map(([, { drill }]) => (drill.scratch === 'local' ? null : drill.scratch.server)),
    target: Object.values(settings.restore?.targets ?? {}).map(({ url }) => url),
    channel: [],
    identity: [],
    passphrase: [],
  }[kind];
  return found.filter((url): url is UrlSetting => url !== null && url !== undefined);
}

/** Secrets of a kind, each once, by name or ARN. */
export function secretsOf(kind: Kind, settings: Settings): string[] {
  const hooks = Object.values(settings.restore?.targets ?? {}).flatMap(({ before, after }) => [...(before ?? []), ...(after ?? [])]);
  const channels = Object.values(settings.alerts.channels ?? {});
  const others = {
    source: [],
    scratch: [],
    target: hooks.map((hook) => hook.webhook),
    channel: channels.flatMap((c) => [c.slack, c.webhook?.url, c.webhook?.routing_key, c.email?.smtp]),
    identity: databases(settings).flatMap(([, { identity, identity_passphrase }]) => [identity, identity_passphrase]),
    passphrase: databases(settings).map(([, { passphrase }]) => passphrase),
  }[kind];
  const places: (Place | null | undefined)[] = [...urlsOf(kind, settings), ...others];
  return [...new Set(places.flatMap((place) => (place !== null && typeof place === 'object' && place.secret ? [place.secret] : [])))].sort();
}

/** A role's policies hold 10,240 characters: of so many secrets of a kind each is named, of more the folder that they share. */
const MOST_SECRETS = 20;

/** The folder by which a role is given secrets, ending with '/': empty if they share none, nothing if each is named. */
export function folder(secrets: string[]): string | undefined {
  if (secrets.length <= MOST_SECRETS) return undefined;
  const sorted = [...secrets].sort();
  const first = sorted[0]!;
  const last = sorted.at(-1)!;
  let shared = 0;
  while (shared < first.length && first[shared] === last[shared]) shared += 1;
  const found = first.slice(0, first.slice(0, shared).lastIndexOf('/') + 1);
  return found.startsWith('arn:') ? '' : found;
}

/** What would give a role more than the secrets of its kind. */
export function foldersTooWide(settings: Settings): string[] {
  const kinds = Object.keys(KINDS) as Kind[];
  return kinds.flatMap((kind) => {
    const own = secretsOf(kind, settings);
    const given = folder(own);
    if (given === undefined) return [];
    const way = `keep the secrets of ${KINDS[kind]} by name in a folder of their own, as in { secret = "lifeboat/${kind}/NAME" }`;
    if (given === '') return [`the ${own.length} secrets of ${KINDS[kind]} are more than a role can name: ${way}`];
    return kinds.flatMap((other) => {
      const within = secretsOf(other, settings).filter((secret) => nameOf(secret).startsWith(given) && !own.includes(secret));
      if (within.length === 0) return [];
      return [`whoever reads the ${own.length} secrets of ${KINDS[kind]} is given the folder ${given}, in which ${within[0]} lies, of ${KINDS[other]}: ${way}`];
    });
  });
}

/** A secret's name, of its ARN too. */
function nameOf(secret: string): string {
  return secret.replace(/^arn:[^:]*:secretsmanager:[^:]*:[^:]*:secret:/, '');
}
