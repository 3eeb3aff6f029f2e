//! What a host's resolver says wrongly of other hosts' names.

use models::id::HostId;
use models::time::Span;

/// An answer to the question where a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Where it is.
    Right,
    /// Where another host is.
    Host(HostId),
    /// An address that nobody has.
    Nobody,
    /// An error, after so much time.
    Fails(Span),
}

/// The resolver of a host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resolver {
    /// The newest one about a name holds.
    wrong: Vec<(HostId, Answer)>,
}

impl Resolver {
    pub(crate) fn answer(&self, name: HostId) -> Answer {
        self.wrong.iter().rev().find(|(of, _)| *of == name).map_or(Answer::Right, |(_, answer)| *answer)
    }

    pub(crate) fn answer_wrongly(&mut self, name: HostId, answer: Answer) {
        self.wrong.push((name, answer));
    }

    /// Takes one wrong answer away, the newest of its kind.
    pub(crate) fn mend(&mut self, name: HostId, answer: Answer) {
        if let Some(index) = self.wrong.iter().rposition(|wrong| *wrong == (name, answer)) {
            self.wrong.remove(index);
        }
    }
}

#[test]
fn the_newest_wrong_answer_holds_until_it_is_taken_away() {
    let (name, other) = (HostId(1), HostId(2));
    let mut resolver = Resolver::default();
    assert_eq!(resolver.answer(name), Answer::Right);
    resolver.answer_wrongly(name, Answer::Host(other));
    resolver.answer_wrongly(name, Answer::Nobody);
    assert_eq!((resolver.answer(name), resolver.answer(other)), (Answer::Nobody, Answer::Right));
    resolver.mend(name, Answer::Nobody);
    assert_eq!(resolver.answer(name), Answer::Host(other));
    resolver.mend(name, Answer::Host(other));
    assert_eq!(resolver.answer(name), Answer::Right);
}
