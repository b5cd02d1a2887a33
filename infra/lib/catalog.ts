//! Every function that is deployed: the program it is, and what it needs to run.

export type FunctionName =
  | 'dump'
  | 'verify'
  | 'retention'
  | 'restore'
  | 'drill'
  | 'drill-control'
  | 'drill-data'
  | 'health'
  | 'maintenance'
  | 'alert'
  | 'notify';

export interface Needs {
  /** The program in functions/. */
  program: string;
  /** Which databases it connects to. */
  database: false | 'source' | 'scratch';
  /** Whether it starts PostgreSQL's client tools. */
  tools: boolean;
  /** Megabytes; Lambda gives processors in proportion, one at 1769. */
  memory: number;
  seconds: number;
  /** How often Lambda tries again what failed. Operations have retry policies of their own. */
  retries: number;
}

const LONGEST = 900;

/** By the name that it has in the account. `drill` drills on a given server in one go; the other two are steps of the state machine. */
export const NEEDS: { [name in FunctionName]: Needs } = {
  dump: { program: 'dump', database: 'source', tools: true, memory: 3008, seconds: LONGEST, retries: 0 },
  verify: { program: 'verify', database: false, tools: false, memory: 1769, seconds: LONGEST, retries: 0 },
  retention: { program: 'retention', database: false, tools: false, memory: 512, seconds: LONGEST, retries: 0 },
  restore: { program: 'restore', database: 'source', tools: true, memory: 3008, seconds: LONGEST, retries: 0 },
  drill: { program: 'drill', database: 'scratch', tools: true, memory: 3008, seconds: LONGEST, retries: 0 },
  'drill-control': { program: 'drill', database: false, tools: false, memory: 512, seconds: 120, retries: 2 },
  'drill-data': { program: 'drill', database: 'scratch', tools: true, memory: 3008, seconds: LONGEST, retries: 0 },
  health: { program: 'health', database: 'source', tools: true, memory: 512, seconds: 300, retries: 0 },
  maintenance: { program: 'maintenance', database: 'source', tools: false, memory: 256, seconds: LONGEST, retries: 0 },
  alert: { program: 'alert', database: false, tools: false, memory: 512, seconds: 120, retries: 0 },
  notify: { program: 'notify', database: false, tools: false, memory: 512, seconds: 120, retries: 2 },
};
