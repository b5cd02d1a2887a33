//! What the configuration may say for a laptop, but not for functions: found before anything is deployed.
import { runsPerHour } from './schedules';
import { foldersTooWide } from './secrets';
import { DatabaseSettings, SecretSetting, Settings, UrlSetting, databases, isFleet, scratchKind } from './settings';

/** Everything that would not work once deployed, each with the way out. `environment`: variables that functions are given besides. */
export function problems(settings: Settings, environment: { [name: string]: string }): string[] {
  const found: string[] = [];
  const place = (key: string, where: UrlSetting | SecretSetting | null | undefined): void => {
    if (where === null || where === undefined || typeof where === 'string') return;
    if (where.env !== undefined && environment[where.env] === undefined) {
      found.push(`${key} names the environment variable ${where.env}, which functions do not have: write { secret = "NAME" }`);
    }
    if (where.file !== undefined) {
      found.push(`${key} names the file ${where.file}, which functions do not have: write { secret = "NAME" }`);
    }
  };
  const all = databases(settings);
  if (all.length === 0) found.push('no database is configured: write [databases.NAME]');
  for (const [slug, database] of all) {
    const path = `databases.${slug}`;
    if (database.url === null && scheduled(database)) found.push(`${path}.url is missing: ${path} has a schedule`);
    place(`${path}.url`, database.url);
    if (typeof database.drill.scratch === 'object') place(`${path}.drill.scratch.server`, database.drill.scratch.server);
    place(`${path}.identity`, database.identity);
    place(`${path}.identity_passphrase`, database.identity_passphrase);
    place(`${path}.passphrase`, database.passphrase);
    if (database.drill.schedule !== null && database.encrypt_to.length > 0 && database.identity === null) {
      found.push(
        `${path}.drill.schedule asks for drills, but its backups are encrypted and nothing opens them: ` +
          'write identity = { secret = "NAME" }, or take the schedule out and drill where the key is',
      );
    }
    if (database.drill.schedule !== null && scratchKind(database) === 'local') {
      found.push(
        `${path}.drill.schedule asks for drills, but a function has no PostgreSQL to drill in: ` +
          'write scratch = { rds = { … } } or { server = … }, or take the schedule out',
      );
    }
  }
  const { fargate_image, vpc } = settings.deploy;
  for (const [slug, { runner }] of all) {
    if (runner !== 'lambda' && fargate_image === null) {
      found.push(`databases.${slug}.runner is ${runner}: write deploy.fargate_image, the image of the Dockerfile in ECR`);
    } else if (runner === 'fargate' && vpc === null) {
      found.push(`databases.${slug}.runner is fargate: write deploy.vpc, the network that its tasks run in`);
    }
  }
  if (fargate_image !== null && vpc === null && !all.some(([, database]) => scratchKind(database) === 'rds')) {
    found.push('deploy.fargate_image is given, but no task could run anywhere: write deploy.vpc, or leave it out');
  }
  for (const [name, channel] of Object.entries(settings.alerts.channels ?? {})) {
    const path = `alerts.channels.${name}`;
    place(`${path}.slack`, channel.slack);
    place(`${path}.webhook.url`, channel.webhook?.url);
    place(`${path}.webhook.routing_key`, channel.webhook?.routing_key);
    place(`${path}.email.smtp`, channel.email?.smtp);
  }
  for (const [name, target] of Object.entries(settings.restore?.targets ?? {})) {
    const path = `restore.targets.${name}`;
    place(`${path}.url`, target.url);
    for (const [when, hooks] of [['before', target.before], ['after', target.after]] as const) {
      (hooks ?? []).forEach((hook, index) => place(`${path}.${when}[${index}].webhook`, hook.webhook));
    }
  }
  const store = settings.store.url;
  if (store !== null && !store.startsWith('s3://')) {
    found.push(`store.url is ${store}: functions store in S3; write s3://BUCKET/PREFIX, or leave it out for a bucket of Lifeboat's own`);
  }
  found.push(...foldersTooWide(settings));
  const { health_schedule } = settings.deploy;
  if (isFleet(settings) && runsPerHour(health_schedule) === undefined) {
    found.push(
      `deploy.health_schedule is ${health_schedule}, which not every hour has equally often: the alarms of a fleet count ` +
        'what health writes in an hour; write rate(1 hour), rate(30 minutes) or the like',
    );
  }
  return found;
}

function scheduled(database: DatabaseSettings): boolean {
  return [database.schedule, database.drill.schedule, database.maintenance.schedule].some((schedule) => schedule !== null);
}

/** Refuses what would not work. */
export function check(settings: Settings, environment: { [name: string]: string }): void {
  const found = problems(settings, environment);
  if (found.length > 0) throw new Error(`this cannot be deployed:\n  - ${found.join('\n  - ')}`);
}
