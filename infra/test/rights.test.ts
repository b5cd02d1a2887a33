//! Every role's policy of the synthesised templates, read and proved against DESIGN §10 line by line.
import { beforeAll, describe, expect, it } from 'vitest';
import { Synthesised, Template, ofType, resolve, settingsOf, synthesise } from './harness';
import { Context, Statement, everybody, may, ofFunction, statements } from './policies';

const STORE = 'arn:aws:s3:::acme-lifeboat';
const CONTROL = 'arn:aws:s3:::acme-lifeboat-state';
const BACKUP = 'orders/20261120T020004Z-k3vd';
const key = (name: string): string => `${STORE}/${BACKUP}/${name}`;
const attestation = (kind: string): string => key(`attestations/20261120T021500000000Z-dbfqc6o2yk4a-${kind}.json`);
const ARCHIVE = key('archive/3392.dat.zst');
const MANIFEST = key('manifest.json');
const REPORT = `${STORE}/orders/drills/20261201T040000Z-aaaa/report.json`;
const KINDS = ['verified', 'corrupt', 'restored', 'hold', 'release', 'expiring', 'undo', 'promoted'];

const FUNCTIONS = ['dump', 'verify', 'retention', 'restore', 'drill', 'drill-control', 'drill-data', 'health', 'maintenance', 'alert', 'notify'];
/** Those whose runs can be tasks on Fargate. */
const TASKS = ['dump', 'verify', 'restore', 'drill', 'drill-data'];

let whole: Synthesised;
let template: Template;
let data: Template;
/** Of everybody who has a role in any of the stacks. */
let policy: { [name: string]: Statement[] };

beforeAll(async () => {
  whole = await synthesise(settingsOf('large'));
  template = whole.templates.AcmeProd!;
  data = whole.templates.AcmeProdData!;
  policy = Object.assign({}, ...Object.values(whole.templates).map((stack) => everybody(stack, 'acme-prod')));
});

/** Who may do something, of everybody: functions first. A function's task is the function, as long as it may no more. */
function whoMay(action: string, resource: string, context: Context = {}): string[] {
  const all = Object.keys(policy).filter((name) => may(policy[name]!, action, resource, context));
  const asFunction = (name: string): boolean => name.endsWith(' task') && all.includes(name.replace(/ task$/, ''));
  const others = all.filter((name) => !FUNCTIONS.includes(name) && !asFunction(name));
  return [...FUNCTIONS.filter((name) => all.includes(name)), ...others.sort()];
}

/** Every statement that allows an action, and whose it is. */
function allowing(action: string): [string, Statement][] {
  return Object.entries(policy).flatMap(([name, all]) => all.filter((s) => s.Effect === 'Allow' && s.Action.includes(action)).map((s): [string, Statement] => [name, s]));
}

describe('backups', () => {
  it('are written by dump alone: archive, globals, kit and manifest', () => {
    for (const name of ['archive/toc.dat', 'archive/3392.dat.zst.00001', 'globals.sql', 'RESTORE.md', 'manifest.json']) {
      expect(whoMay('s3:PutObject', key(name)), name).toEqual(['dump']);
    }
  });

  it('taken for safety before a restore are written by restore too, which writes no others', () => {
    expect(whoMay('s3:PutObject', `${STORE}/safety-orders/20261120T020004Z-k3vd/manifest.json`)).toEqual(['dump', 'restore']);
  });

  it('are written as new keys only: the bucket refuses any other creation, whoever asks', () => {
    const [, bucketPolicy] = ofType(data, 'AWS::S3::BucketPolicy').find(([, p]) => resolve(data, p.Properties.Bucket) === 'acme-lifeboat')!;
    const refusing = statements(data, bucketPolicy.Properties.PolicyDocument);
    const everybody: Statement = { Effect: 'Allow', Action: ['s3:PutObject'], Resource: ['*'], Condition: {} };
    const tls = { 'aws:SecureTransport': 'true', 's3:TlsVersion': '1.3' };
    const put = (context: Context): boolean => mayOver(refusing, everybody, MANIFEST, { ...tls, ...context });
    expect(put({ 's3:ObjectCreationOperation': 'true' })).toBe(false);
    expect(put({ 's3:ObjectCreationOperation': 'true', 's3:if-none-match': '*' })).toBe(true);
    // Parts of an upload carry no condition; completing it does.
    expect(put({ 's3:ObjectCreationOperation': 'false' })).toBe(true);
    expect(put({ 's3:ObjectCreationOperation': 'true', 's3:if-none-match': '*', 'aws:SecureTransport': 'false' })).toBe(false);
  });

  it('are deleted by nobody, in no version', () => {
    for (const action of ['s3:DeleteObject', 's3:DeleteObjectVersion', 's3:DeleteObjectTagging', 's3:DeleteObjectVersionTagging']) {
      for (const object of [ARCHIVE, MANIFEST, attestation('verified'), REPORT]) {
        expect(whoMay(action, object), `${action} ${object}`).toEqual([]);
      }
    }
  });

  it('are unlocked, and their lock shortened, by nobody', () => {
    for (const action of ['s3:BypassGovernanceRetention', 's3:PutObjectRetention', 's3:PutObjectLegalHold']) {
      expect(whoMay(action, ARCHIVE), action).toEqual([]);
    }
    expect(whoMay('s3:PutBucketObjectLockConfiguration', STORE)).toEqual([]);
  });

  it('lie in a bucket that no role can change', () => {
    const actions = ['PutLifecycleConfiguration', 'PutBucketPolicy', 'DeleteBucket', 'PutBucketVersioning', 'PutEncryptionConfiguration', 'PutReplicationConfiguration', 'PutBucketPublicAccessBlock', 'PutBucketAcl', 'DeleteBucketPolicy'];
    for (const action of actions) {
      for (const bucket of [STORE, CONTROL]) expect(whoMay(`s3:${action}`, bucket), action).toEqual([]);
    }
  });

  it('are read by verify, restore and the drills alone, all others see manifests and attestations', () => {
    const readers = ['verify', 'restore', 'drill', 'drill-data'];
    for (const name of ['archive/3392.dat.zst', 'archive/toc.dat', 'archive/blob_16400.dat.zst', 'globals.sql']) {
      for (const action of ['s3:GetObject', 's3:GetObjectVersion']) expect(whoMay(action, key(name)), `${action} ${name}`).toEqual(readers);
    }
    expect(whoMay('s3:GetObject', MANIFEST)).toEqual(FUNCTIONS.filter((name) => !['maintenance', 'notify'].includes(name)));
  });

  it('are thawed by who restores', () => {
    expect(whoMay('s3:RestoreObject', ARCHIVE)).toEqual(['restore', 'drill', 'drill-data']);
  });
});

describe('attestations', () => {
  it('are written by whoever may say so, each its own kind', () => {
    const writers: { [kind: string]: string[] } = {
      verified: ['verify'],
      corrupt: ['verify'],
      restored: ['restore', 'drill', 'drill-data'],
      expiring: ['retention'],
      undo: ['retention'],
      promoted: ['retention'],
      // These are a person's.
      hold: [],
      release: [],
    };
    for (const kind of KINDS) expect(whoMay('s3:PutObject', attestation(kind)), kind).toEqual(writers[kind]);
  });

  it('of drills are reports, written by who drills', () => {
    expect(whoMay('s3:PutObject', REPORT)).toEqual(['restore', 'drill', 'drill-data']);
  });
});

describe('tags', () => {
  type Tags = { [name: string]: string };
  const tagging = (tags: Tags): Context => ({
    's3:RequestObjectTagKeys': Object.keys(tags),
    ...Object.fromEntries(Object.entries(tags).map(([name, value]) => [`s3:RequestObjectTag/${name}`, value])),
  });

  it("are set by retention alone, Lifeboat's own and with their own values", () => {
    const wanted: Tags[] = [{ 'lifeboat-expire': 'true' }, { 'lifeboat-move': 'GLACIER' }, { 'lifeboat-expire': 'true', 'lifeboat-move': 'STANDARD_IA' }];
    for (const tags of wanted) {
      expect(whoMay('s3:PutObjectTagging', ARCHIVE, tagging(tags)), JSON.stringify(tags)).toEqual(['retention']);
    }
  });

  it('are read by retention, and by health, which says what retention will do', () => {
    expect(whoMay('s3:GetObjectTagging', ARCHIVE)).toEqual(['retention', 'health']);
  });

  it('of any other name or value, and no tags at all, are refused', () => {
    const others: Tags[] = [{ owner: 'me' }, { 'lifeboat-expire': 'true', owner: 'me' }, { 'lifeboat-expire': 'false' }, { 'lifeboat-move': 'REDUCED_REDUNDANCY' }, {}];
    for (const tags of others) {
      expect(whoMay('s3:PutObjectTagging', ARCHIVE, tagging(tags)), JSON.stringify(tags)).toEqual([]);
    }
  });

  it('are not set on a version, which would expire what is not current', () => {
    expect(whoMay('s3:PutObjectVersionTagging', ARCHIVE, tagging({ 'lifeboat-expire': 'true' }))).toEqual([]);
  });

  it('cannot be set while writing: that would be expiry by whoever writes', () => {
    expect(may(policy.dump!, 's3:PutObjectTagging', ARCHIVE, tagging({ 'lifeboat-expire': 'true' }))).toBe(false);
  });
});

describe('the control store', () => {
  it('gives back claims of one operation to this operation, and to health what is old', () => {
    for (const operation of ['dump', 'verify', 'retention', 'maintenance', 'restore']) {
      const claim = `${CONTROL}/of/runs/${operation}/orders/2026-11-20T02:00:00Z`;
      expect(whoMay('s3:DeleteObject', claim).sort(), operation).toEqual(['health', operation].sort());
      expect(whoMay('s3:PutObject', claim), operation).toEqual([operation]);
    }
    expect(whoMay('s3:DeleteObject', `${CONTROL}/of/maintenance/orders/20261120T020000Z.json`)).toEqual(['health']);
  });

  it('lets dump and restore hold leases, and nobody delete one', () => {
    expect(whoMay('s3:PutObject', `${CONTROL}/of/leases/orders.json`)).toEqual(['dump', 'restore']);
    expect(whoMay('s3:DeleteObject', `${CONTROL}/of/leases/orders.json`)).toEqual([]);
  });

  it('keeps what the bus did not take, from every function that tells', () => {
    const telling = FUNCTIONS.filter((name) => name !== 'alert' && name !== 'notify');
    expect(whoMay('s3:PutObject', `${CONTROL}/of/undelivered/20261120T020000Z-dbfqc6o2yk4a.json`)).toEqual(telling);
    expect(whoMay('s3:DeleteObject', `${CONTROL}/of/undelivered/20261120T020000Z-dbfqc6o2yk4a.json`)).toEqual(['health']);
    expect(whoMay('events:PutEvents', 'arn:aws:events:eu-central-1:123456789012:event-bus/acme-prod')).toEqual(telling);
  });
});

describe('the key of the store', () => {
  const actions = ['kms:Decrypt', 'kms:GenerateDataKey'];

  it('is used through S3 only, and by nobody to encrypt by hand', () => {
    const [storeKey] = policy.dump!.filter((s) => s.Action.includes('kms:GenerateDataKey')).flatMap((s) => s.Resource);
    expect(storeKey).toMatch(/StoreKey/);
    for (const action of actions) {
      expect(whoMay(action, storeKey!, { 'kms:ViaService': 's3.eu-central-1.amazonaws.com' }), action).toEqual(FUNCTIONS);
      expect(whoMay(action, storeKey!), action).toEqual([]);
      expect(whoMay(action, storeKey!, { 'kms:ViaService': 'secretsmanager.eu-central-1.amazonaws.com' }), action).toEqual([]);
    }
    for (const action of ['kms:ScheduleKeyDeletion', 'kms:DisableKey', 'kms:PutKeyPolicy', 'kms:CreateGrant', 'kms:Encrypt']) {
      expect(whoMay(action, storeKey!, { 'kms:ViaService': 's3.eu-central-1.amazonaws.com' }), action).toEqual([]);
    }
  });
});

describe('drill-control', () => {
  const db = (name: string): string => `arn:aws:rds:eu-central-1:123456789012:db:${name}`;
  const tags = (when: string, deployment: string): Context => ({ [`${when}/lifeboat:scratch`]: 'true', [`${when}/lifeboat:deployment`]: deployment });
  const scratch = tags('aws:RequestTag', 'acme-prod');
  const tagged = tags('aws:ResourceTag', 'acme-prod');

  it('creates and restores only what is tagged as scratch', () => {
    for (const action of ['rds:CreateDBInstance', 'rds:RestoreDBInstanceFromDBSnapshot', 'rds:RestoreDBInstanceToPointInTime']) {
      expect(whoMay(action, db('acme-prod-drill-orders-1a2b'), scratch), action).toEqual(['drill-control']);
      expect(whoMay(action, db('acme-prod-drill-orders-1a2b')), action).toEqual([]);
    }
    expect(whoMay('rds:CreateDBInstance', db('orders-production'), scratch)).toEqual([]);
  });

  it('deletes only what is tagged as scratch and named as a drill, as the reaper in health does', () => {
    expect(whoMay('rds:DeleteDBInstance', db('acme-prod-drill-orders-1a2b'), tagged)).toEqual(['drill-control', 'health']);
    expect(whoMay('rds:DeleteDBInstance', db('acme-prod-drill-orders-1a2b'))).toEqual([]);
    expect(whoMay('rds:DeleteDBInstance', db('orders-production'), tagged)).toEqual([]);
  });

  it('neither makes nor deletes what another deployment in the account would take for its own', () => {
    // Named so that it matches, as of a deployment acme-prod-drill-x.
    const id = db('acme-prod-drill-x-drill-orders-1a2b');
    for (const action of ['rds:CreateDBInstance', 'rds:AddTagsToResource']) expect(whoMay(action, id, tags('aws:RequestTag', 'acme-prod-drill-x')), action).toEqual([]);
    for (const action of ['rds:DeleteDBInstance', 'rds:ModifyDBInstance']) expect(whoMay(action, id, tags('aws:ResourceTag', 'acme-prod-drill-x')), action).toEqual([]);
  });

  it('cannot tag a source as scratch to delete it afterwards', () => {
    expect(whoMay('rds:AddTagsToResource', db('orders-production'), scratch)).toEqual([]);
    expect(whoMay('rds:ModifyDBInstance', db('orders-production'))).toEqual([]);
    expect(whoMay('rds:AddTagsToResource', db('acme-prod-drill-orders-1a2b'), scratch)).toEqual(['drill-control']);
  });

  it('changes instances of restore tests only where AWS Backup tagged them, and deletes none', () => {
    const test = db('awsbackup-restore-test-1a2b');
    const byBackup = { 'aws:ResourceTag/awsbackup-restore-test': 'job' };
    expect(whoMay('rds:ModifyDBInstance', test, byBackup)).toEqual(['drill-control']);
    expect(whoMay('rds:ModifyDBInstance', test)).toEqual([]);
    expect(whoMay('rds:ModifyDBInstance', db('orders-production'), byBackup)).toEqual([]);
    expect(whoMay('rds:DeleteDBInstance', test, { ...byBackup, ...tagged })).toEqual([]);
    expect(whoMay('rds:AddTagsToResource', test, scratch)).toEqual([]);
  });

  it('alone asks AWS Backup for a restore test and tells it what that came to, and does nothing else there', () => {
    for (const action of ['backup:DescribeRestoreJob', 'backup:PutRestoreValidationResult']) {
      expect(whoMay(action, 'arn:aws:backup:eu-central-1:123456789012:restore-job:1'), action).toEqual(['drill-control']);
    }
    const actions = FUNCTIONS.flatMap((name) => policy[name]!.flatMap((statement) => statement.Action)).filter((action) => action.startsWith('backup:'));
    expect(actions).toEqual(['backup:DescribeRestoreJob', 'backup:PutRestoreValidationResult']);
  });

  it('has no such rights where no restore testing plan is configured', async () => {
    const small = ofFunction((await synthesise(settingsOf('small'))).templates.Lifeboat!, 'lifeboat-drill-control');
    for (const action of ['backup:DescribeRestoreJob', 'backup:PutRestoreValidationResult']) expect(may(small, action, '*'), action).toBe(false);
    expect(may(small, 'rds:ModifyDBInstance', db('awsbackup-restore-test-1a2b'), { 'aws:ResourceTag/awsbackup-restore-test': 'job' })).toBe(false);
  });

  it('deletes no snapshot, no cluster and no automated backup', () => {
    for (const action of ['DeleteDBSnapshot', 'DeleteDBCluster', 'DeleteDBInstanceAutomatedBackup', 'ModifyDBSnapshotAttribute']) {
      expect(whoMay(`rds:${action}`, '*'), action).toEqual([]);
    }
  });

  it('reads no secret, and reaches no database', () => {
    expect(may(policy['drill-control']!, 'secretsmanager:GetSecretValue', 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-1-AbCdEf')).toBe(false);
    const control = Object.values(template.Resources).find((r) => r.Properties?.FunctionName === 'acme-prod-drill-control')!;
    expect(control.Properties.VpcConfig).toBeUndefined();
  });
});

describe('secrets', () => {
  const secret = (name: string): string => `arn:aws:secretsmanager:eu-central-1:123456789012:secret:${name}-AbCdEf`;

  it('of targets and their hooks are for restore alone', () => {
    for (const name of ['orders/owner', 'orders/stop', 'orders/start']) {
      expect(whoMay('secretsmanager:GetSecretValue', secret(name)), name).toEqual(['restore']);
    }
  });

  it("of sources are read by who connects to sources, and not by restore and a drill's functions", () => {
    expect(whoMay('secretsmanager:GetSecretValue', secret('orders/backup'))).toEqual(['dump', 'health', 'maintenance']);
    expect(whoMay('rds-db:connect', 'arn:aws:rds-db:eu-central-1:123456789012:dbuser:db-ABC/backup')).toEqual(['dump', 'health', 'maintenance']);
    expect(whoMay('rds-db:connect', 'arn:aws:rds-db:eu-central-1:123456789012:dbuser:db-ABC/admin')).toEqual([]);
    expect(whoMay('rds-db:connect', 'arn:aws:rds-db:eu-central-1:123456789012:dbuser:db-ABC/owner')).toEqual(['restore']);
  });

  it('that open encrypted backups are read by whoever restores: not by dump, which makes them, nor by verify', async () => {
    const settings = settingsOf('large');
    settings.databases.orders!.identity = { secret: 'orders/identity' };
    const { AcmeProd } = (await synthesise(settings)).templates;
    const all = everybody(AcmeProd!, 'acme-prod');
    const readers = Object.keys(all).filter((name) => may(all[name]!, 'secretsmanager:GetSecretValue', secret('orders/identity')));
    expect(readers.filter((name) => FUNCTIONS.includes(name)).sort()).toEqual(['drill', 'drill-data', 'restore']);
    // Their tasks on Fargate, and nobody else.
    expect(readers.map((name) => name.replace(/ task$/, '')).filter((name) => !['drill', 'drill-data', 'restore'].includes(name))).toEqual([]);
  });

  it('that are passphrases of backups are read by dump too, which makes a key of each, and still not by verify', async () => {
    const settings = settingsOf('large');
    settings.databases.orders!.passphrase = { secret: 'orders/passphrase' };
    settings.databases.orders!.identity_passphrase = { secret: 'orders/unlock' };
    const { AcmeProd } = (await synthesise(settings)).templates;
    const all = everybody(AcmeProd!, 'acme-prod');
    const readers = (name: string): string[] =>
      FUNCTIONS.filter((reader) => may(all[reader]!, 'secretsmanager:GetSecretValue', secret(name))).sort();
    expect(readers('orders/passphrase')).toEqual(['drill', 'drill-data', 'dump', 'restore']);
    expect(readers('orders/unlock')).toEqual(['drill', 'drill-data', 'restore']);
  });

  it('of scratch instances are read by drill-data, those of other instances by nobody', () => {
    const of = (instance: string): Context => ({
      'secretsmanager:ResourceTag/aws:rds:primaryDBInstanceArn': `arn:aws:rds:eu-central-1:123456789012:db:${instance}`,
    });
    for (const instance of ['acme-prod-drill-orders-1a2b', 'awsbackup-restore-test-1a2b']) {
      expect(whoMay('secretsmanager:GetSecretValue', secret('rds!db-1'), of(instance)), instance).toEqual(['drill-data']);
    }
    expect(whoMay('secretsmanager:GetSecretValue', secret('rds!db-1'), of('orders-production'))).toEqual([]);
    expect(whoMay('secretsmanager:GetSecretValue', secret('rds!db-1'))).toEqual([]);
  });

  it('of channels are read by notify, which reads no other', async () => {
    expect(whoMay('secretsmanager:GetSecretValue', secret('lifeboat/pager'))).toEqual(['notify']);
    expect(may(policy.notify!, 'secretsmanager:GetSecretValue', secret('orders/backup'))).toBe(false);
    const small = (await synthesise(settingsOf('small'))).templates.Lifeboat!;
    expect(may(ofFunction(small, 'lifeboat-notify'), 'secretsmanager:GetSecretValue', secret('lifeboat/slack'))).toBe(true);
  });
});

describe('every role', () => {
  it('is of somebody: functions, tasks, machines, rules, replication', () => {
    expect(Object.keys(policy)).toEqual(expect.arrayContaining([...FUNCTIONS, ...TASKS.map((name) => `${name} task`), 'start of tasks', 'drill machine', 'rules', 'replication']));
  });

  it('names its actions: no wildcard among them, in any stack', () => {
    for (const [name, all] of Object.entries(policy)) for (const action of all.flatMap((statement) => statement.Action)) expect(action, name).not.toMatch(/\*/);
  });

  it('speaks of all resources only where the service knows none', () => {
    const without = /^(xray:|backup:(DescribeRestoreJob|PutRestoreValidationResult)$|ec2:(Assign|Create|Delete|Describe|Unassign)|logs:(\w+LogDeliver(y|ies)|DescribeLogGroups|\w+ResourcePolic(y|ies))$|ecr:GetAuthorizationToken$)/;
    for (const [name, all] of Object.entries(policy)) {
      const everything = all.filter((statement) => statement.Resource.includes('*'));
      for (const action of everything.flatMap((statement) => statement.Action)) expect(action, name).toMatch(without);
    }
  });

  it('uses keys through a service alone', () => {
    for (const [name, all] of Object.entries(policy)) {
      for (const statement of all.filter((s) => s.Action.some((action) => action.startsWith('kms:')))) {
        expect(statement.Condition.StringEquals?.['kms:ViaService'], name).toMatch(/^(s3|sns)\.[a-z0-9-]+\.amazonaws\.com$/);
      }
    }
  });

  it('belongs to one function', () => {
    const taken = ofType(template, 'AWS::Lambda::Function').map(([, f]) => f.Properties.Role['Fn::GetAtt'][0]);
    expect(new Set(taken).size).toBe(FUNCTIONS.length);
    expect(taken.length).toBe(FUNCTIONS.length);
  });

  it('can neither become another nor change rights', () => {
    for (const action of ['iam:PutRolePolicy', 'iam:AttachRolePolicy', 'iam:CreateRole', 'iam:UpdateAssumeRolePolicy', 'sts:AssumeRole', 'lambda:UpdateFunctionCode', 'lambda:AddPermission', 'states:UpdateStateMachine']) {
      expect(allowing(action).map(([name]) => name), action).toEqual([]);
    }
  });

  it('is passed on to tasks alone, and only a role of a task', () => {
    const passing = allowing('iam:PassRole');
    expect(passing.map(([name]) => name)).toContain('drill machine');
    const ofTasks = ofType(template, 'AWS::ECS::TaskDefinition').flatMap(([, t]) => [t.Properties.TaskRoleArn, t.Properties.ExecutionRoleArn].map((role) => resolve(template, role)));
    for (const [name, { Resource, Condition }] of passing) {
      expect(ofTasks, name).toEqual(expect.arrayContaining(Resource));
      expect(Condition, name).toEqual({ StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' } });
    }
  });

  it('invokes functions only if it is a machine, and starts machines only if it is of rules', () => {
    const invoked = allowing('lambda:InvokeFunction').map(([name, { Resource }]) => [name, Resource.map((arn) => arn.split(':function:')[1]).sort()]);
    expect(invoked).toEqual([['drill machine', ['acme-prod-drill-control', 'acme-prod-drill-data']]]);
    const started = allowing('states:StartExecution').map(([name, { Resource }]) => [name, Resource.map((arn) => arn.split(':stateMachine:')[1])]);
    // Those of schedules, and those of AWS Backup's restore tests.
    expect(started).toEqual([['rules', ['acme-prod-drill']], ['rules', ['acme-prod-drill']]]);
  });
});

describe('replication', () => {
  it('writes to the second bucket alone, which nobody else touches', () => {
    const there = ARCHIVE.replace(STORE, `${STORE}-replica`);
    for (const action of ['s3:ReplicateObject', 's3:ReplicateTags']) {
      expect(whoMay(action, there), action).toEqual(['replication']);
      expect(whoMay(action, ARCHIVE), action).toEqual([]);
    }
    for (const action of ['s3:GetObject', 's3:PutObject', 's3:DeleteObject', 's3:DeleteObjectVersion', 's3:ReplicateDelete', 's3:PutObjectTagging']) {
      expect(whoMay(action, there), action).toEqual([]);
    }
  });

  it('reads objects to copy them, by an action that nobody else has', () => {
    expect(whoMay('s3:GetObjectVersionForReplication', ARCHIVE)).toEqual(['replication']);
    expect(policy.replication!.flatMap((s) => s.Action).filter((action) => /Put|Delete|Bypass|s3:GetObject$/.test(action))).toEqual([]);
  });
});

describe('the network of drills', () => {
  it('has no way out and none to a source', () => {
    for (const type of ['NatGateway', 'InternetGateway', 'VPCGatewayAttachment', 'VPCPeeringConnection', 'TransitGatewayAttachment', 'Route', 'EIP', 'VPNGateway']) {
      expect(ofType(template, `AWS::EC2::${type}`), type).toEqual([]);
    }
    const data = ofType(template, 'AWS::Lambda::Function').find(([, f]) => f.Properties.FunctionName === 'acme-prod-drill-data')![1];
    const own = ofType(template, 'AWS::EC2::Subnet').map(([id]) => id);
    expect(own.length).toBe(2);
    expect(data.Properties.VpcConfig.SubnetIds.map((s: any) => s.Ref).sort()).toEqual(own.sort());
  });

  it('lets only drill-data reach the instance', () => {
    const groupOf = (name: string): string => ofType(template, 'AWS::EC2::SecurityGroup').find(([, g]) => g.Properties.GroupDescription.startsWith(name))![0];
    const instance = groupOf('Scratch instances');
    const ingress = ofType(template, 'AWS::EC2::SecurityGroupIngress').filter(([, r]) => r.Properties.GroupId['Fn::GetAtt'][0] === instance);
    expect(ingress.map(([, r]) => [r.Properties.FromPort, r.Properties.ToPort, r.Properties.SourceSecurityGroupId['Fn::GetAtt'][0]])).toEqual([[5432, 5432, groupOf('drill-data')]]);
    expect(template.Resources[instance]!.Properties.SecurityGroupIngress).toBeUndefined();
    const data = ofType(template, 'AWS::Lambda::Function').find(([, f]) => f.Properties.FunctionName === 'acme-prod-drill-data')![1];
    expect(data.Properties.VpcConfig.SecurityGroupIds).toEqual([{ 'Fn::GetAtt': [groupOf('drill-data'), 'GroupId'] }]);
  });

  it("lets S3 take and give Lifeboat's buckets only", () => {
    const [, gateway] = ofType(template, 'AWS::EC2::VPCEndpoint').find(([id]) => id.startsWith('ScratchS3'))!;
    const allowed = statements(template, gateway.Properties.PolicyDocument);
    expect(may(allowed, 's3:GetObject', ARCHIVE)).toBe(true);
    expect(may(allowed, 's3:PutObject', `${CONTROL}/of/drills/x`)).toBe(true);
    expect(may(allowed, 's3:PutObject', 'arn:aws:s3:::a-thief/x')).toBe(false);
  });
});

/** As `may`, for a policy of a bucket that only refuses, over somebody who may everything. */
function mayOver(refusing: Statement[], allowing: Statement, resource: string, context: Context): boolean {
  const denies = refusing.filter((statement) => statement.Effect === 'Deny');
  const numeric = denies.map((statement) => {
    const { NumericLessThan, ...Condition } = statement.Condition;
    return NumericLessThan !== undefined && Number(context['s3:TlsVersion']) >= Number(NumericLessThan['s3:TlsVersion']) ? undefined : { ...statement, Condition };
  });
  return may([allowing, ...numeric.filter((s): s is Statement => s !== undefined)], 's3:PutObject', resource, context);
}
