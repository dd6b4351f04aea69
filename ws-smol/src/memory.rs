//! Memory that connections borrow while they are busy, so that an idle one holds none.

use core::cell::RefCell;

use ws_core::SendBuffer;

/// The length of the memory that one read fills. Long enough that system calls do not dominate bulk data.
pub(crate) const READ_LEN: usize = 64 * 1024;

/// Spare pieces a thread keeps. A task gives its memory back before it waits, so few are out at a time.
const MAX_SPARE: usize = 4;

thread_local! {
    static SPARE: RefCell<Spare> = const { RefCell::new(Spare { input: Vec::new(), output: Vec::new() }) };
}

struct Spare {
    input: Vec<Box<[u8]>>,
    output: Vec<SendBuffer>,
}

/// Returns memory to read into.
pub(crate) fn take_input() -> Box<[u8]> {
    let spare = SPARE.try_with(|spare| spare.borrow_mut().input.pop());
    spare.ok().flatten().unwrap_or_else(|| vec![0; READ_LEN].into_boxed_slice())
}

/// Takes memory back.
pub(crate) fn give_input(memory: Box<[u8]>) {
    if memory.len() == READ_LEN {
        // No thread-local storage any more: the thread ends, and the memory goes with it.
        let _ = SPARE.try_with(|spare| {
            let spare = &mut spare.borrow_mut().input;
            if spare.len() < MAX_SPARE {
                spare.push(memory);
            }
        });
    }
}

/// Returns an empty buffer, with memory if one is spare.
pub(crate) fn take_output() -> SendBuffer {
    SPARE.try_with(|spare| spare.borrow_mut().output.pop()).ok().flatten().unwrap_or_default()
}

/// Takes an empty buffer back, unless a large message made it large.
pub(crate) fn give_output(buffer: SendBuffer) {
    if buffer.capacity() <= READ_LEN {
        let _ = SPARE.try_with(|spare| {
            let spare = &mut spare.borrow_mut().output;
            if spare.len() < MAX_SPARE {
                spare.push(buffer);
            }
        });
    }
}
