//! Between tests and templates the runner is let speak: synthesis never waits, and after a minute of silence it is given up.
import { afterEach } from 'vitest';

/** Lets waiting messages in and out. */
export async function turn(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 0));
  await new Promise((resolve) => setImmediate(resolve));
}

afterEach(turn);
