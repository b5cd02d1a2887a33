//! Templates of a configuration: no account, no Docker, nothing built.
import { ChildProcess, fork } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import type { CodeOptions } from '../lib/code';
import { Settings, readSettings } from '../lib/settings';

const folders: string[] = [];
process.on('exit', () => folders.forEach((folder) => fs.rmSync(folder, { recursive: true, force: true })));

/** A folder that is gone when this process ends. */
function temporaryFolder(): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'lifeboat-infra-'));
  folders.push(folder);
  return folder;
}

export interface Resource {
  Type: string;
  Properties: { [key: string]: any };
  [key: string]: any;
}

export interface Template {
  Resources: { [id: string]: Resource };
  Outputs?: { [id: string]: any };
}

export interface Synthesised {
  settings: Settings;
  /** By the stack's name. */
  templates: { [stack: string]: Template };
  /** Warnings and errors that the synthesis left. */
  messages: string[];
  folder: string;
  /** Stacks that refuse to be deleted. */
  protectedStacks: string[];
}

const CONFIGURATIONS = path.join(__dirname, 'configurations');

/** The settings of one of the configurations beside this file, or of a text. */
export function settingsOf(configuration: string): Settings {
  if (!configuration.includes('\n')) return readSettings(path.join(CONFIGURATIONS, `${configuration}.toml`));
  const folder = temporaryFolder();
  const file = path.join(folder, 'lifeboat.toml');
  fs.writeFileSync(file, configuration);
  return readSettings(file);
}

/** So many databases, as a program would write them. */
export function fleet(size: number): Settings {
  const one = (index: number): string => {
    const name = `shop-${String(index).padStart(4, '0')}`;
    const drill = `[databases.${name}.drill]\nschedule = "cron(0 4 ? * ${(index % 7) + 1}#1 *)"\nscratch = { rds = { class = "db.t4g.medium" } }\n`;
    return `[databases.${name}]\nurl = { secret = "lifeboat/source/${name}" }\nschedule = "cron(0 ${index % 3} * * ? *)"\nrpo = "26h"\n${drill}`;
  };
  return settingsOf(`[store]\nurl = "s3://acme-fleet"\n${Array.from({ length: size }, (_, index) => one(index)).join('')}`);
}

/** What may be different from `cdk synth` of a checkout where nothing was built. */
export interface Options {
  context?: { [key: string]: unknown };
  code?: Partial<CodeOptions>;
  /** Whether cdk-nag's packs look at it. */
  packs?: boolean;
}

/** What the process of test/synthesis.ts is asked, and what it answers. */
export interface Asked {
  id: number;
  settings: Settings;
  folder: string;
  options: Options;
}

export interface Answer {
  id: number;
  done?: Synthesised;
  failed?: string;
}

let synthesiser: ChildProcess | undefined;
let asked = 0;

/** What is synthesised, as `cdk synth` would: in a process of its own, so that the runner of tests is answered meanwhile. */
export async function synthesise(settings: Settings, options: Options = {}): Promise<Synthesised> {
  synthesiser ??= fork(path.join(__dirname, 'synthesis.ts'), { execArgv: ['--import', 'tsx'], cwd: path.join(__dirname, '..'), serialization: 'advanced' });
  const child = synthesiser;
  const id = (asked += 1);
  return new Promise((resolve, reject) => {
    const over = (code: number | null): void => reject(new Error(`the process that synthesises ended with ${code}`));
    const answered = (answer: Answer): void => {
      if (answer.id !== id) return;
      child.off('message', answered).off('exit', over);
      if (answer.done === undefined) reject(new Error(answer.failed));
      else resolve(answer.done);
    };
    child.on('message', answered).on('exit', over);
    child.send({ id, settings, folder: temporaryFolder(), options } satisfies Asked);
  });
}

/** Resources of a type. */
export function ofType(template: Template, type: string): [string, Resource][] {
  return Object.entries(template.Resources).filter(([, resource]) => resource.Type === type);
}

/** The one resource of a type that has this property. */
export function one(template: Template, type: string, property: string, value: unknown): Resource {
  const found = ofType(template, type).filter(([, resource]) => JSON.stringify(resource.Properties[property]) === JSON.stringify(value));
  if (found.length !== 1) throw new Error(`${found.length} resources of type ${type} have ${property} = ${JSON.stringify(value)}`);
  return found[0]![1];
}

const PSEUDO: { [name: string]: string } = {
  'AWS::Partition': 'aws',
  'AWS::Region': 'eu-central-1',
  'AWS::AccountId': '123456789012',
  'AWS::URLSuffix': 'amazonaws.com',
};

/** A value as it will be: references become `<Id>` or `<Id.Attribute>`, ARNs by name where the resource has a name. */
export function resolve(template: Template, value: any): any {
  if (Array.isArray(value)) return value.map((item) => resolve(template, item));
  if (typeof value !== 'object' || value === null) return value;
  const [key] = Object.keys(value);
  if (Object.keys(value).length === 1 && key !== undefined) {
    const inner = value[key];
    if (key === 'Ref') return PSEUDO[inner] ?? named(template, inner, 'Ref') ?? `<${inner}>`;
    if (key === 'Fn::GetAtt') return named(template, inner[0], inner[1]) ?? `<${inner.join('.')}>`;
    if (key === 'Fn::ImportValue') return `<${String(resolve(template, inner)).replace(/.*GetAtt/, '')}>`;
    if (key === 'Fn::Join') return resolve(template, inner[1]).join(inner[0]);
    if (key === 'Fn::Select' || key === 'Fn::GetAZs') return `<${key}>`;
  }
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, resolve(template, item)]));
}

function named(template: Template, id: string, attribute: string): string | undefined {
  const resource = template.Resources[id];
  if (resource === undefined) return undefined;
  const arn = (service: string, name: string): string => `arn:aws:${service}:eu-central-1:123456789012:${name}`;
  const { Type: type, Properties: p } = resource;
  if (type === 'AWS::SQS::Queue' && attribute === 'Arn') return arn('sqs', resolve(template, p.QueueName));
  if (type === 'AWS::SNS::Topic' && attribute === 'Ref') return arn('sns', resolve(template, p.TopicName));
  if (type === 'AWS::Lambda::Function') return attribute === 'Arn' ? arn('lambda', `function:${p.FunctionName}`) : p.FunctionName;
  if (type === 'AWS::Events::EventBus') return attribute === 'Arn' ? arn('events', `event-bus/${p.Name}`) : p.Name;
  if (type === 'AWS::StepFunctions::StateMachine' && attribute !== 'Name') return arn('states', `stateMachine:${p.StateMachineName}`);
  if (type === 'AWS::Logs::LogGroup') return attribute === 'Arn' ? arn('logs', `log-group:${p.LogGroupName}:*`) : p.LogGroupName;
  if (type === 'AWS::S3::Bucket') return attribute === 'Arn' ? `arn:aws:s3:::${resolve(template, p.BucketName)}` : resolve(template, p.BucketName);
  return undefined;
}
