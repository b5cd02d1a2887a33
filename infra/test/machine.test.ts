//! The state machine of drills, walked: no way leads past the removal of an instance, and none past the report.
import { describe, expect, it } from 'vitest';
import { STEPS, Step, machine } from '../lib/drill-machine';

const LONG = { cluster: 'cluster', taskDefinition: 'task', container: 'lifeboat', subnets: ['subnet'], securityGroups: ['group'] };
const CALLED = { partition: 'aws-cn', control: 'control', data: 'data' };
const MACHINES = { 'on Lambda': machine(CALLED), 'with Fargate': machine({ ...CALLED, long: LONG }) };

type States = { [name: string]: any };

/** Where a state can lead. */
function next(state: any): string[] {
  return [state.Next, state.Default, ...(state.Choices ?? []).map((c: any) => c.Next), ...(state.Catch ?? []).map((c: any) => c.Next)].filter((name) => name !== undefined);
}

/** Every state that can follow one, without going on beyond `until`. */
function reachable(states: States, from: string, until: string[] = []): Set<string> {
  const seen = new Set<string>();
  const open = [from];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (seen.has(name)) continue;
    seen.add(name);
    if (!until.includes(name)) open.push(...next(states[name]));
  }
  return seen;
}

/** The state that does a step by a function. */
function calls(states: States, step: Step): [string, any] {
  const found = Object.entries(states).filter(([, s]) => s.Parameters?.Payload?.step === step);
  expect(found, step).toHaveLength(1);
  return found[0]!;
}

describe.each(Object.entries(MACHINES))('the machine %s', (_, definition) => {
  const states = definition.States as States;

  it('knows every state that it leads to, and leads to every state that it knows', () => {
    for (const [name, state] of Object.entries(states)) for (const following of next(state)) expect(Object.keys(states), name).toContain(following);
    expect([...reachable(states, definition.StartAt as string)].sort()).toEqual(Object.keys(states).sort());
  });

  it('asks the right function for each step, with the whole state, and takes its answer for the new one', () => {
    for (const [step, by] of Object.entries(STEPS) as [Step, string][]) {
      const [, state] = calls(states, step);
      expect(state.Resource).toBe('arn:aws-cn:states:::lambda:invoke');
      expect(state.Parameters.FunctionName, step).toBe(by);
      expect(state.OutputPath, step).toBe('$.Payload');
      const execution = ['select', 'validation'].includes(step) ? { 'execution.$': '$$.Execution.Id' } : {};
      expect(state.Parameters.Payload, step).toEqual({ step, [step === 'select' ? 'request.$' : 'state.$']: '$', ...execution });
    }
  });

  it('catches whatever goes wrong in a step, and notes which it was', () => {
    for (const [name, state] of Object.entries(states).filter(([, s]) => s.Type === 'Task')) {
      const caught = state.Catch.map((c: any) => c.ErrorEquals);
      expect(caught, name).toEqual([['Lambda.Unknown', 'States.Timeout', 'States.TaskFailed'], ['States.ALL']]);
      for (const { Next, ResultPath } of state.Catch) {
        const removes = ['Tear down', 'Gone'].includes(name);
        expect(ResultPath).toBe(removes ? '$.removal_error' : '$.error');
        expect(states[Next].ResultPath, name).toBe(removes ? '$.removal_failed_in' : '$.failed_in');
        expect(Object.keys(STEPS), name).toContain(states[Next].Result);
      }
    }
  });

  it('keeps what failed first when the removal fails after it', () => {
    const [tearDown] = calls(states, 'tear-down');
    const [report] = calls(states, 'report');
    for (const name of reachable(states, tearDown, [report])) {
      if (name === report) continue;
      const written = [states[name].ResultPath, ...(states[name].Catch ?? []).map((c: any) => c.ResultPath)];
      for (const path of ['$.error', '$.failed_in']) expect(written, name).not.toContain(path);
    }
  });

  it('removes the instance in every ending once there may be one', () => {
    const [tearDown] = calls(states, 'tear-down');
    for (const step of ['provision', 'await', 'restore', 'compare', 'checks', 'negative-control'] as Step[]) {
      const [name] = calls(states, step);
      const before = reachable(states, name, [tearDown]);
      expect([...before].filter((state) => ['Succeed', 'Fail'].includes(states[state].Type)), step).toEqual([]);
      expect(before.has(tearDown), step).toBe(true);
    }
  });

  it('tries the removal, the report and what AWS Backup is told again whatever went wrong, and nothing else', () => {
    for (const step of Object.keys(STEPS) as Step[]) {
      const [, { Retry }] = calls(states, step);
      const again = ['States.ALL', 'Lambda.Unknown', 'States.Timeout', 'States.TaskFailed'].map((error) => Retry.some((r: any) => r.ErrorEquals.includes(error)));
      const persists = ['tear-down', 'gone', 'report', 'validation'].includes(step);
      expect(again, step).toEqual([persists, persists, persists, persists]);
      // Step Functions takes States.ALL alone, and last.
      if (persists) expect(Retry.at(-1).ErrorEquals, step).toEqual(['States.ALL']);
    }
  });

  it('waits for a store that is out of order for minutes before it gives up what the drill found', () => {
    for (const step of ['report', 'validation'] as Step[]) {
      const [, { Retry }] = calls(states, step);
      const { IntervalSeconds, MaxAttempts, BackoffRate } = Retry.at(-1);
      const waits = Array.from({ length: MaxAttempts }, (_, n) => IntervalSeconds * BackoffRate ** n);
      expect(waits.reduce((sum, seconds) => sum + seconds, 0), step).toBeGreaterThanOrEqual(600);
    }
  });

  it('never succeeds without a report, unless the drill was done before', () => {
    const [report] = calls(states, 'report');
    const without = reachable(states, definition.StartAt as string, [report]);
    const ends = [...without].filter((state) => states[state].Type === 'Succeed');
    const from = Object.entries(states).filter(([name, s]) => without.has(name) && name !== report && next(s).some((n) => ends.includes(n)));
    expect(from.map(([name]) => name)).toEqual(['Already done?']);
    expect([...without].filter((state) => states[state].Type === 'Fail' && next(states[report]).every((n) => n !== state))).toEqual([]);
  });

  it('tells AWS Backup of every drill of an instance that it made, the failed ones too, and of no other', () => {
    const [report, state] = calls(states, 'report');
    const [validation] = calls(states, 'validation');
    expect(state.Next).toBe('Adopted?');
    expect(states['Adopted?']).toEqual({
      Type: 'Choice',
      Choices: [{ And: [{ Variable: '$.adopted', IsPresent: true }, { Variable: '$.adopted', BooleanEquals: true }], Next: validation }],
      Default: 'Done',
    });
    const into = Object.entries(states).filter(([, s]) => next(s).includes(validation));
    expect(into.map(([name]) => name)).toEqual(['Adopted?']);
    // What cannot be told fails the execution, whose end is told by the rule.
    const failed = next(states[validation]).filter((name) => name !== 'Done');
    for (const name of failed) expect(next(states[name])).toEqual(['Failed']);
    expect(reachable(states, report).has(validation)).toBe(true);
  });

  it('asks for no field of the state that may be missing', () => {
    for (const [name, { Choices }] of Object.entries(states).filter(([, s]) => s.Type === 'Choice')) {
      for (const { And } of Choices) {
        expect(And[0].IsPresent, name).toBe(true);
        expect(And[1].Variable, name).toBe(And[0].Variable);
      }
    }
  });
});

describe('Fargate', () => {
  it('does the long steps where the state says so, asked as the functions are', () => {
    const states = MACHINES['with Fargate'].States as States;
    for (const step of ['restore', 'compare']) {
      const state = Object.values(states).find((s) => JSON.stringify(s.Parameters?.Overrides ?? {}).includes(step));
      expect(state.Resource).toBe('arn:aws-cn:states:::ecs:runTask.sync');
      // What the task finds lies in the control store: the state stays as it was.
      expect(state.ResultPath).toBeNull();
    }
    expect(states['Where?'].Choices[0].And[1]).toEqual({ Variable: '$.runner', StringEquals: 'fargate' });
    expect(Object.keys(MACHINES['on Lambda'].States as States)).not.toContain('Where?');
  });
});
