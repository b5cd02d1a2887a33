//! Tasks on Fargate: what each is, finds and may do, who starts it, and what keeps the parts of a configuration together.
import { beforeAll, describe, expect, it } from 'vitest';
import { NEEDS } from '../lib/catalog';
import { problems } from '../lib/check';
import { Resource, Synthesised, Template, ofType, resolve, settingsOf, synthesise } from './harness';
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
      const { SubnetIds, SecurityGroupIds } = functionOf(name === 'verify' ? 'dump' : name).Properties.VpcConfig;
      expect(told).toEqual({
        cluster: '<LongRunsCluster.Arn>'.replace('LongRunsCluster', ofType(template, 'AWS::ECS::Cluster')[0]![0]),
        task_definition: `<${taskOf(name)[0]}>`,
        container: 'lifeboat',
        subnets: resolve(template, SubnetIds),
        security_groups: resolve(template, SecurityGroupIds),
      });
    }
    const others = ofType(template, 'AWS::Lambda::Function').filter(([, f]) => !handing.some((name) => f.Properties.FunctionName === `acme-prod-${name}`));
    for (const [id, f] of others) expect(f.Properties.Environment?.Variables?.LIFEBOAT_TASK, id).toBeUndefined();
  });

  it('may start its own task in the cluster, with that task\'s roles, and no other', () => {
    const cluster = `<${ofType(template, 'AWS::ECS::Cluster')[0]![0]}.Arn>`;
    const toEcs = { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' };
    for (const name of handing) {
      const policy = ofFunction(template, `acme-prod-${name}`);
      for (const other of TASKS) {
        const [id, task] = taskOf(other);
        const role = resolve(template, task.Properties.TaskRoleArn);
        expect(may(policy, 'ecs:RunTask', `<${id}>`, { 'ecs:cluster': cluster }), `${name} → ${other}`).toBe(name === other);
        expect(may(policy, 'iam:PassRole', role, toEcs), `${name} → ${other}`).toBe(name === other);
        expect(may(policy, 'iam:PassRole', role, { 'iam:PassedToService': 'ec2.amazonaws.com' })).toBe(false);
        expect(may(policy, 'ecs:RunTask', `<${id}>`, { 'ecs:cluster': 'another' })).toBe(false);
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

describe('a task that never started or was killed', () => {
  it('is told to people by the topic itself', () => {
    const rule = ofType(template, 'AWS::Events::Rule').find(([, r]) => r.Properties.Name === 'acme-prod.task-mute')![1].Properties;
    const { detail } = resolve(template, rule.EventPattern);
    expect(detail.clusterArn).toEqual([`<${ofType(template, 'AWS::ECS::Cluster')[0]![0]}.Arn>`]);
    expect(detail.$or).toEqual([{ stopCode: ['TaskFailedToStart'] }, { containers: { exitCode: [{ numeric: ['>=', 131] }] } }]);
    expect(rule.Targets.map((target: any) => resolve(template, target.Arn))).toEqual(['arn:aws:sns:eu-central-1:123456789012:acme-prod-alerts']);
    expect(rule.Targets[0].InputTransformer.InputTemplate).toContain('<run>');
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
