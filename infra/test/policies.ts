//! Reads roles' policies out of a template, and answers what they allow: as IAM does, without guessing.
import { Template, ofType, resolve } from './harness';

export interface Statement {
  Effect: 'Allow' | 'Deny';
  Action: string[];
  Resource: string[];
  Condition: { [operator: string]: { [key: string]: string | string[] } };
}

/** The context of a request: condition keys and their values. */
export type Context = { [key: string]: string | string[] };

/** Whether a pattern with `*` and `?` covers a text. */
export function covers(pattern: string, text: string): boolean {
  const expression = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*').replace(/\?/g, '.');
  return new RegExp(`^${expression}$`, 's').test(text);
}

function list(value: unknown): string[] {
  return (Array.isArray(value) ? value : [value]).map(String);
}

/** Statements of a policy document. */
export function statements(template: Template, document: any): Statement[] {
  return (resolve(template, document).Statement as any[]).map((statement) => ({
    Effect: statement.Effect,
    Action: list(statement.Action),
    Resource: list(statement.Resource ?? []),
    Condition: statement.Condition ?? {},
  }));
}

/** Every statement that a role holds: attached policies, inline ones; managed policies are refused, nobody reads them here. */
export function ofRole(template: Template, role: string): Statement[] {
  const resource = template.Resources[role];
  if (resource?.Type !== 'AWS::IAM::Role') throw new Error(`${role} is no role`);
  if ((resource.Properties.ManagedPolicyArns ?? []).length > 0) throw new Error(`${role} has managed policies`);
  const inline = (resource.Properties.Policies ?? []) as { PolicyDocument: unknown }[];
  const attached = ofType(template, 'AWS::IAM::Policy').filter(([, policy]) =>
    (policy.Properties.Roles as { Ref?: string }[]).some((attachedTo) => attachedTo.Ref === role),
  );
  const documents = [...inline.map((policy) => policy.PolicyDocument), ...attached.map(([, policy]) => policy.Properties.PolicyDocument)];
  return documents.flatMap((document) => statements(template, document));
}

/** Every role of a template, by its id. */
export function roles(template: Template): [string, Statement[]][] {
  return ofType(template, 'AWS::IAM::Role').map(([id]) => [id, ofRole(template, id)]);
}

/** The role of a function. */
export function ofFunction(template: Template, name: string): Statement[] {
  const found = ofType(template, 'AWS::Lambda::Function').find(([, resource]) => resource.Properties.FunctionName === name);
  if (found === undefined) throw new Error(`there is no function ${name}`);
  return ofRole(template, found[1].Properties.Role['Fn::GetAtt'][0]);
}

/** The role of a task, by its family. */
export function ofTask(template: Template, family: string): Statement[] {
  const found = ofType(template, 'AWS::ECS::TaskDefinition').find(([, resource]) => resource.Properties.Family === family);
  if (found === undefined) throw new Error(`there is no task ${family}`);
  return ofRole(template, found[1].Properties.TaskRoleArn['Fn::GetAtt'][0]);
}

/** The id of the role that a property leads to. */
function roleOf(value: any): string | undefined {
  return value?.['Fn::GetAtt']?.[0];
}

/**
 * Everybody who has a role in a template, by name: functions and machines by their names less `prefix`, tasks by their
 * family, and who else there is. A role of somebody who is not known here is an error.
 */
export function everybody(template: Template, prefix: string): { [name: string]: Statement[] } {
  const short = (name: unknown): string => String(name).replace(`${prefix}-`, '');
  const found: [string, unknown][] = Object.values(template.Resources).flatMap(({ Type, Properties: p }): [string, unknown][] => {
    switch (Type) {
      case 'AWS::Lambda::Function':
        return [[short(p.FunctionName), p.Role]];
      case 'AWS::ECS::TaskDefinition':
        return [[`${short(p.Family)} task`, p.TaskRoleArn], ['start of tasks', p.ExecutionRoleArn]];
      case 'AWS::StepFunctions::StateMachine':
        return [[`${short(p.StateMachineName)} machine`, p.RoleArn]];
      case 'AWS::Events::Rule':
        return (p.Targets as { RoleArn?: unknown }[]).flatMap((target) => (target.RoleArn === undefined ? [] : [['rules', target.RoleArn]]));
      case 'AWS::S3::Bucket':
        return p.ReplicationConfiguration === undefined ? [] : [['replication', p.ReplicationConfiguration.Role]];
      case 'AWS::EC2::FlowLog':
        return [['flow log', p.DeliverLogsPermissionArn]];
      default:
        return [];
    }
  });
  const known = new Set(found.map(([, role]) => roleOf(role)));
  for (const [id] of ofType(template, 'AWS::IAM::Role')) {
    if (!known.has(id)) throw new Error(`nobody who is known here has the role ${id}`);
  }
  // Rules have one role for all of one kind: who is asked for may have several.
  const all: { [name: string]: Statement[] } = {};
  for (const id of known) {
    if (id === undefined) continue;
    for (const name of new Set(found.filter(([, role]) => roleOf(role) === id).map(([name]) => name))) {
      all[name] = [...(all[name] ?? []), ...ofRole(template, id)];
    }
  }
  return all;
}

/** Whether a request is allowed. A condition on a key that the request lacks fails, but for Null, IfExists and ForAllValues. */
export function may(policy: Statement[], action: string, resource: string, context: Context = {}): boolean {
  const matching = policy.filter(
    (statement) =>
      statement.Action.some((pattern) => covers(pattern.toLowerCase(), action.toLowerCase())) &&
      statement.Resource.some((pattern) => covers(pattern, resource)) &&
      Object.entries(statement.Condition).every(([operator, keys]) =>
        Object.entries(keys).every(([key, wanted]) => holds(operator, list(wanted), context[key])),
      ),
  );
  return matching.some((s) => s.Effect === 'Allow') && !matching.some((s) => s.Effect === 'Deny');
}

function holds(operator: string, wanted: string[], found: string | string[] | undefined): boolean {
  if (operator === 'Null') return wanted[0] === String(found === undefined || found.length === 0);
  const [set, rest] = operator.startsWith('For') ? operator.split(':') : [undefined, operator];
  const values = found === undefined ? [] : list(found);
  if (rest!.endsWith('IfExists') && values.length === 0) return true;
  const test = comparison(rest!.replace(/IfExists$/, ''));
  const one = (value: string): boolean => wanted.some((pattern) => test(pattern, value));
  if (set === 'ForAllValues') return values.every(one);
  return values.some(one);
}

function comparison(operator: string): (pattern: string, value: string) => boolean {
  switch (operator) {
    case 'StringEquals':
    case 'ArnEquals':
    case 'Bool':
      return (pattern, value) => pattern === value;
    case 'StringLike':
    case 'ArnLike':
      return covers;
    default:
      throw new Error(`a condition ${operator} is not understood here`);
  }
}
