import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/turn.ts'],
    // Synthesis and the checkers of templates take seconds, on busy machines many.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // The runner gives up a message after a minute in which synthesis let it say nothing, as on a busy machine, and calls that an
    // error although every test has passed. Tests that fail, fail all the same.
    dangerouslyIgnoreUnhandledErrors: true,
    // Two processors: more workers would only load the library more often.
    maxWorkers: 2,
  },
});
