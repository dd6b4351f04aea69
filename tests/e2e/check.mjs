// The few lines that the scripts here share: named checks, the first failure ends the script.

let passed = 0;

/** Runs one step and says how it went; what it throws ends the script with the step's name. */
export async function check(name, step) {
  try {
    await step();
  } catch (error) {
    console.log(`  FAILED ${name}`);
    throw error;
  }
  passed++;
  console.log(`  ok ${name}`);
}

/** Ends the script with how many checks passed, whatever is still open. */
export function finish() {
  console.log(`  ${passed} checks`);
  process.exit(passed > 0 ? 0 : 1);
}

/** Fails unless `found` and `expected` are the same JSON. */
export function same(found, expected, what) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: expected ${b}, found ${a}`);
}
