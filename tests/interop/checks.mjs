// One line per check, and a count at the end.

// For every wait on a server, in milliseconds.
export const TIMEOUT = 10_000;

let passed = 0;
let failed = 0;

export async function check(name, test, ...args) {
  try {
    await test(...args);
    passed += 1;
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}: ${error.message.replace(/\s+/g, ' ')}`);
  }
}

/** Prints the count; gives whether nothing failed. */
export function close() {
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
  return failed === 0;
}
