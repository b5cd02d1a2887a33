//! Tasks on Fargate: what each is, finds and may do, who starts it, and what keeps the parts of a configuration together.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { NEEDS } from '../lib/catalog';
import { problems } from '../lib/check';
import { REPOSITORY } from '../lib/settings';
import { Resource, Synthesised, Template, ofType, resolve, settingsOf, synthesise } from './harness';
import { matches } from './patterns';
import { may, ofFunction, ofRole, ofTask, statements } from './policies';

const TASKS = ['dump', 'verify', 'restore', 'drill', 'drill-data'] as const;

let whole: Synthesised;
let template: Template;

beforeAll(async () => {
  whole = await synthesise(settingsOf('large'));
  template = whole.templates.AcmeProd!;
});

function taskOf(name: string): [string, Resource] {
  return ofType(template, 'AWS::ECS::TaskDefinition').find(([, t]) => t.Properties.Family === `acme-prod-${name}`)!;
}

function container(name: string): any {
  return taskOf(name)[1].Properties.ContainerDefinitions[0];
}

function variables(name: string): { [variable: string]: string } {
  return Object.fromEntries(container(name).Environment.map((v: any) => [v.Name, resolve(template, v.Value)]));
}

/** The group of tasks that reach no database. */
function apart(): [string, Resource] {
  return ofType(template, 'AWS::EC2::SecurityGroup').find(([, group]) => /^Tasks of Lifeboat that reach no database/.test(group.Properties.GroupDescription))!;
}

function functionOf(name: string): Resource {
  return ofType(template, 'AWS::Lambda::Function').find(([, f]) => f.Properties.FunctionName === `acme-prod-${name}`)![1];
}

describe('a task', () => {
  it('is there for each operation that may outlast Lambda, from the one image, with its function\'s program', () => {
    expect(ofType(template, 'AWS::ECS::TaskDefinition').map(([, t]) => t.Properties.Family).sort()).toEqual(TASKS.map((name) => `acme-prod-${name}`).sort());
    for (const name of TASKS) {
      expect(container(name).Image).toBe(whole.settings.deploy.fargate_image);
      expect(container(name).Command).toEqual([NEEDS[name].program]);
      expect(container(name).ReadonlyRootFilesystem).toBe(true);
      expect(container(name).User).not.toMatch(/^(root|0)/);
    }
  });

  it('finds its configuration and its certificates in S3, and may read these two objects there', () => {
    for (const name of TASKS) {
      const found = [variables(name).LIFEBOAT_CONFIG!, variables(name).LIFEBOAT_ROOT_CERT!];
      expect(found[0]).toMatch(/^s3:\/\/[^/]+\/[0-9a-f]{64}\.toml$/);
      expect(found[1]).toMatch(/^s3:\/\/[^/]+\/[0-9a-f]{64}\.pem$/);
      const policy = ofTask(template, `acme-prod-${name}`);
      for (const url of found) expect(may(policy, 's3:GetObject', url.replace('s3://', 'arn:aws:s3:::')), `${name} ${url}`).toBe(true);
      const bucket = found[0]!.split('/')[2];
      expect(may(policy, 's3:GetObject', `arn:aws:s3:::${bucket}/another.zip`)).toBe(false);
      expect(may(policy, 's3:PutObject', found[0]!.replace('s3://', 'arn:aws:s3:::'))).toBe(false);
    }
  });

  it('has the variables of its function, but for those of Lambda', () => {
    for (const name of TASKS) {
      const { LIFEBOAT_CONFIG, LIFEBOAT_ROOT_CERT, AWS_REGION, ...rest } = variables(name);
      const { LIFEBOAT_CLIENT_TOOLS, LIFEBOAT_TASK, ...expected } = resolve(template, functionOf(name).Properties.Environment.Variables);
      expect(rest, name).toEqual(expected);
      expect(AWS_REGION).toBe('eu-central-1');
    }
  });

  it('may start no other, pass no role, and write no log itself', () => {
    for (const name of TASKS) {
      const policy = ofTask(template, `acme-prod-${name}`);
      const actions = policy.flatMap((statement) => statement.Action);
      expect(actions.filter((action) => /^(ecs|iam|logs|ecr):/.test(action)), name).toEqual([]);
    }
  });
});

describe('a function', () => {
  const handing = TASKS.filter((name) => name !== 'drill-data');

  it('that hands over is told of its own task in its own network, and of none else', () => {
    for (const name of handing) {
      const told = JSON.parse(resolve(template, functionOf(name).Properties.Environment.Variables.LIFEBOAT_TASK));
      // A task lies in some network; that of verify, which lies in none, in the same with a group of its own.
      const { SubnetIds, SecurityGroupIds } = functionOf(name === 'verify' ? 'dump' : name).Properties.VpcConfig;
      const groups = name === 'verify' ? [`<${apart()[0]}.GroupId>`] : resolve(template, SecurityGroupIds);
      expect(told).toEqual({
        cluster: '<LongRunsCluster.Arn>'.replace('LongRunsCluster', ofType(template, 'AWS::ECS::Cluster')[0]![0]),
        task_definition: `<${taskOf(name)[0]}>`,
        container: 'lifeboat',
        subnets: resolve(template, SubnetIds),
        security_groups: groups,
      });
    }
    const others = ofType(template, 'AWS::Lambda::Function').filter(([, f]) => !handing.some((name) => f.Properties.FunctionName === `acme-prod-${name}`));
    for (const [id, f] of others) expect(f.Properties.Environment?.Variables?.LIFEBOAT_TASK, id).toBeUndefined();
  });

  it('that reaches no database has a task which reaches none: out on 443 alone, and what the databases admit is another group', () => {
    const [id, group] = apart();
    expect(functionOf('verify').Properties.VpcConfig).toBeUndefined();
    expect(group.Properties.SecurityGroupEgress).toEqual([expect.objectContaining({ IpProtocol: 'tcp', FromPort: 443, ToPort: 443, CidrIp: '0.0.0.0/0' })]);
    expect(ofType(template, 'AWS::EC2::SecurityGroupEgress').filter(([, rule]) => resolve(template, rule.Properties.GroupId) === `<${id}.GroupId>`)).toEqual([]);
    const admitted = ofType(template, 'AWS::EC2::SecurityGroupIngress').filter(([key, rule]) => key.startsWith('Sources') && rule.Properties.FromPort === 443);
    expect(admitted.map(([, rule]) => resolve(template, rule.Properties.SourceSecurityGroupId))).toContain(`<${id}.GroupId>`);
  });

  it('may start its own task in the cluster, in any revision, with that task\'s roles, and no other', () => {
    const cluster = `<${ofType(template, 'AWS::ECS::Cluster')[0]![0]}.Arn>`;
    const toEcs = { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' };
    for (const name of handing) {
      const policy = ofFunction(template, `acme-prod-${name}`);
      for (const other of TASKS) {
        const role = resolve(template, taskOf(other)[1].Properties.TaskRoleArn);
        // The one that it is told of while a deployment goes on, and the next.
        for (const revision of [7, 8]) {
          const definition = `arn:aws:ecs:eu-central-1:123456789012:task-definition/acme-prod-${other}:${revision}`;
          expect(may(policy, 'ecs:RunTask', definition, { 'ecs:cluster': cluster }), `${name} → ${other}`).toBe(name === other);
          expect(may(policy, 'ecs:RunTask', definition, { 'ecs:cluster': 'another' })).toBe(false);
        }
        expect(may(policy, 'iam:PassRole', role, toEcs), `${name} → ${other}`).toBe(name === other);
        expect(may(policy, 'iam:PassRole', role, { 'iam:PassedToService': 'ec2.amazonaws.com' })).toBe(false);
      }
    }
    for (const name of ['retention', 'health', 'maintenance', 'alert', 'notify', 'drill-control', 'drill-data']) {
      const actions = ofFunction(template, `acme-prod-${name}`).flatMap((statement) => statement.Action);
      expect(actions.filter((action) => /^(ecs|iam):/.test(action)), name).toEqual([]);
    }
  });

  it('and its task can reach what they need: a private network gets the endpoints', () => {
    const services = ofType(template, 'AWS::EC2::VPCEndpoint').filter(([id]) => id.startsWith('Sources')).map(([, e]) => resolve(template, e.Properties.ServiceName).split('eu-central-1.')[1]);
    expect(services.sort()).toEqual(['ecr.api', 'ecr.dkr', 'ecs', 'events', 'logs', 'rds', 's3', 'secretsmanager', 'sns']);
  });
});

/** What ECS says of a task, as https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html shows it. */
function changed(over: { [key: string]: unknown }, containers: { [key: string]: unknown }[]): unknown {
  const arn = 'arn:aws:ecs:eu-central-1:123456789012:task/acme-prod-tasks/f5bb0d6c-1f1e-4b5a-9d0a-7d7a7c1e2b3d';
  const container = { containerArn: `${arn}/c`, name: 'lifeboat', taskArn: arn, lastStatus: 'STOPPED', networkInterfaces: [], cpu: '0' };
  return {
    version: '0',
    id: '3317b2af-7005-947d-b652-f55e762e571a',
    'detail-type': 'ECS Task State Change',
    source: 'aws.ecs',
    account: '123456789012',
    time: '2026-11-20T02:31:17Z',
    region: 'eu-central-1',
    resources: [arn],
    detail: {
      clusterArn: `<${ofType(template, 'AWS::ECS::Cluster')[0]![0]}.Arn>`,
      containers: containers.map((one) => ({ ...container, ...one })),
      createdAt: '2026-11-20T02:00:11.1Z',
      launchType: 'FARGATE',
      desiredStatus: 'STOPPED',
      group: 'family:acme-prod-dump',
      lastStatus: 'STOPPED',
      startedBy: 'dump/orders',
      stopCode: 'EssentialContainerExited',
      stoppedReason: 'Essential container in task exited',
      taskArn: arn,
      taskDefinitionArn: 'arn:aws:ecs:eu-central-1:123456789012:task-definition/acme-prod-dump:7',
      version: 5,
      ...over,
    },
  };
}

describe('a task that failed', () => {
  const rule = (): any => ofType(template, 'AWS::Events::Rule').find(([, r]) => r.Properties.Name === 'acme-prod.task-failed')![1].Properties;
  const told = (over: { [key: string]: unknown }, ...containers: { [key: string]: unknown }[]): boolean => matches(resolve(template, rule().EventPattern), changed(over, containers));

  it('is told, whatever ended it: nobody else may have', () => {
    expect(told({}, { exitCode: 137, reason: 'OutOfMemoryError: Container killed due to memory usage' }), 'killed').toBe(true);
    expect(told({ stopCode: 'UserInitiated', stoppedReason: 'Task stopped by user' }, { exitCode: 130 }), 'stopped').toBe(true);
    expect(told({}, { exitCode: 101 }), 'panicked').toBe(true);
    expect(told({}, { exitCode: 64 }), 'no such program').toBe(true);
    expect(told({}, { exitCode: 2 }), 'no configuration').toBe(true);
    expect(told({}, { exitCode: 75 }), 'another run in its way').toBe(true);
    expect(told({ stopCode: 'TaskFailedToStart', stoppedReason: 'CannotPullContainerError' }, { reason: 'CannotPullContainerError' }), 'no image').toBe(true);
    expect(told({ stopCode: 'UserInitiated', stoppedReason: 'Task stopped by user' }, {}), 'stopped before it ran').toBe(true);
  });

  it('is told once, of this cluster, and what is done or is on its way is not', () => {
    expect(told({}, { exitCode: 0 }), 'done').toBe(false);
    expect(told({ lastStatus: 'RUNNING', desiredStatus: 'RUNNING', stopCode: undefined }, { lastStatus: 'RUNNING' })).toBe(false);
    expect(told({ lastStatus: 'DEPROVISIONING' }, { exitCode: 137 }), 'STOPPED comes later').toBe(false);
    expect(told({ clusterArn: 'arn:aws:ecs:eu-central-1:123456789012:cluster/another' }, { exitCode: 137 })).toBe(false);
    expect(told({ group: 'family:acme-prod-drill-data' }, { exitCode: 137 }), 'the state machine tells').toBe(false);
  });

  it('is told to people by the topic itself', () => {
    const { Targets } = rule();
    expect(Targets.map((target: any) => resolve(template, target.Arn))).toEqual(['arn:aws:sns:eu-central-1:123456789012:acme-prod-alerts']);
    expect(Targets[0].InputTransformer.InputTemplate).toContain('<run>');
  });
});

describe('a step of the state machine', () => {
  it('is a task with the rights of drill-data, in the network of drills, which reaches its configuration', () => {
    const machine = ofType(template, 'AWS::StepFunctions::StateMachine').find(([, m]) => m.Properties.StateMachineName === 'acme-prod-drill')![1];
    const definition = JSON.stringify(resolve(template, machine.Properties.DefinitionString));
    expect(definition).toContain(taskOf('drill-data')[0]);
    for (const name of ['dump', 'verify', 'restore', 'drill']) expect(definition).not.toContain(`"${taskOf(name)[0]}`);
    const [, gateway] = ofType(template, 'AWS::EC2::VPCEndpoint').find(([id]) => id.startsWith('ScratchS3'))!;
    const allowed = statements(template, gateway.Properties.PolicyDocument);
    for (const url of [variables('drill-data').LIFEBOAT_CONFIG!, variables('drill-data').LIFEBOAT_ROOT_CERT!]) {
      expect(may(allowed, 's3:GetObject', url.replace('s3://', 'arn:aws:s3:::'))).toBe(true);
    }
    expect(may(allowed, 's3:PutObject', variables('drill-data').LIFEBOAT_CONFIG!.replace('s3://', 'arn:aws:s3:::'))).toBe(false);
  });
});

describe('how long a run may take', () => {
  it('is the same to what runs it, to what waits for it and to AWS', () => {
    const source = fs.readFileSync(path.join(REPOSITORY, 'shared', 'core', 'src', 'runner.rs'), 'utf8');
    const said = (name: string): number => {
      const [, unit, count] = new RegExp(`pub const ${name}: Duration = Duration::from_(hours|mins)\\((\\d+)\\)`).exec(source)!;
      return Number(count) * (unit === 'hours' ? 3600 : 60);
    };
    const definition = ofType(template, 'AWS::StepFunctions::StateMachine').find(([, m]) => m.Properties.StateMachineName === 'acme-prod-drill')![1].Properties.DefinitionString;
    const { States } = JSON.parse(resolve(template, definition));
    for (const step of ['Restore', 'Compare']) expect(States[`${step} on Fargate`].TimeoutSeconds).toBe(said('LONGEST_TASK'));
    for (const name of TASKS) expect(functionOf(name).Properties.Timeout, name).toBe(said('FUNCTION_LIMIT'));
  });
});

describe('what pulls the image and writes the log', () => {
  it('may do that and nothing else', () => {
    const roles = new Set(TASKS.map((name) => taskOf(name)[1].Properties.ExecutionRoleArn['Fn::GetAtt'][0] as string));
    expect(roles.size).toBe(1);
    const actions = ofRole(template, [...roles][0]!).flatMap((statement) => statement.Action);
    for (const action of actions) expect(action).toMatch(/^(logs:(CreateLogStream|PutLogEvents)|ecr:(Batch|Get)\w+)$/);
  });
});

describe('a configuration', () => {
  const base = '[store]\nurl = "s3://acme"\n[databases.a]\nurl = { secret = "a" }\n';
  const image = 'fargate_image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/lifeboat:1"\n';
  const found = (text: string): string => problems(settingsOf(text), {}).join('\n');

  it('that asks for tasks must say by which image and in which network', () => {
    expect(found(`${base}runner = "auto"\n`)).toMatch(/databases.a.runner is auto: write deploy.fargate_image/);
    expect(found(`${base}runner = "fargate"\n[deploy]\n${image}`)).toMatch(/databases.a.runner is fargate: write deploy.vpc/);
    expect(found(`${base}[deploy]\n${image}`)).toMatch(/no task could run anywhere/);
    const vpc = '[deploy.vpc]\nid = "vpc-1"\nsubnets = ["subnet-1"]\navailability_zones = ["eu-central-1a"]\n';
    expect(found(`${base}runner = "fargate"\n[deploy]\n${image}${vpc}`)).toBe('');
  });

  it('without an image makes no cluster, no task and no right to start one', async () => {
    const small = (await synthesise(settingsOf('small'))).templates.Lifeboat!;
    expect(Object.values(small.Resources).filter(({ Type }) => Type.startsWith('AWS::ECS::'))).toEqual([]);
    expect(JSON.stringify(small)).not.toMatch(/ecs:|LIFEBOAT_TASK|iam:PassRole/);
  });

  it('without a network of databases has tasks for steps of the state machine alone', async () => {
    const settings = settingsOf('large');
    const without = (await synthesise({ ...settings, deploy: { ...settings.deploy, vpc: null } })).templates.AcmeProd!;
    expect(ofType(without, 'AWS::ECS::TaskDefinition').map(([, t]) => t.Properties.Family)).toEqual(['acme-prod-drill-data']);
    expect(JSON.stringify(without)).not.toContain('LIFEBOAT_TASK');
  });
});
