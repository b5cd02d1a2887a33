//! Between tests and templates the runner is let speak: synthesis never waits, and after a minute of silence it is given up.
import { afterEach } from 'vitest';

/** Lets waiting messages in and out: for so many milliseconds, where what follows takes a minute on a busy machine. */
export async function turn(milliseconds = 0): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  await new Promise((resolve) => setImmediate(resolve));
}

afterEach(() => turn());
