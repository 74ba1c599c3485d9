//! The evaluation of entity rows, for serving: the same expressions as in training, one row after the other.

use asof_model::{Cell, Instant, Status, Value};

use super::plan::{OnDemandPlan, Slot};

/// What was computed for the entity rows of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComputedCells {
    rows: usize,
    steps: usize,
    /// Row by row, a cell for each step: what its expression gave, before its default.
    cells: Vec<Cell>,
}

/// Columns of an expression that are gathered without memory of their own.
const FEW: usize = 8;

static NULL: Cell = Cell::Null;

impl OnDemandPlan {
    /// Computes every step for `rows` entity rows at the instant `t` of the request.
    ///
    /// - `input(place, row)`: the cell of the feature [`OnDemandPlan::inputs`]`[place]` in an entity row, as
    ///   [`Input::entering`](super::plan::Input::entering) gives it; called once for each
    /// - `request(place, row)`: the cell of the column [`OnDemandPlan::request`]`[place]`, a value of its type or null; called
    ///   once for each
    ///
    /// A row's results depend on its own cells and on `t` alone (SEMANTICS 5). A cell of another type than declared makes
    /// what reads it ERROR. Nothing is looked up, parsed or planned.
    pub fn evaluate(
        &self,
        t: Instant,
        rows: usize,
        input: impl Fn(usize, usize) -> Cell,
        request: impl Fn(usize, usize) -> Cell,
    ) -> ComputedCells {
        self.evaluate_at(|_| t, rows, input, request)
    }

    /// The same with an instant for each row, as for answers that are recomputed together.
    pub fn evaluate_at(
        &self,
        t: impl Fn(usize) -> Instant,
        rows: usize,
        input: impl Fn(usize, usize) -> Cell,
        request: impl Fn(usize, usize) -> Cell,
    ) -> ComputedCells {
        let mut cells = Vec::with_capacity(rows * self.steps.len());
        let (mut inputs, mut fields) = (Vec::with_capacity(self.inputs.len()), Vec::new());
        for row in 0..rows {
            inputs.clear();
            inputs.extend((0..self.inputs.len()).map(|place| input(place, row)));
            fields.clear();
            fields.extend((0..self.request.len()).map(|place| request(place, row)));
            let first = cells.len();
            for place in 0..self.steps.len() {
                let computed = self.step(place, t(row), &inputs, &fields, &cells[first..]);
                cells.push(computed);
            }
        }
        ComputedCells { rows, steps: self.steps.len(), cells }
    }

    /// One step of one row. `before`: what the steps before it gave in that row.
    fn step(&self, place: usize, t: Instant, inputs: &[Cell], fields: &[Cell], before: &[Cell]) -> Cell {
        let step = &self.steps[place];
        let cell = |slot: &Slot| match *slot {
            Slot::Input(place) => &inputs[place],
            Slot::Request(place) => &fields[place],
            Slot::Step(place) => self.steps[place].entering(&before[place]),
        };
        if step.reads.len() > FEW {
            return step.expression.evaluate_cells(&step.reads.iter().map(cell).collect::<Vec<_>>(), t);
        }
        let mut few = [&NULL; FEW];
        few.iter_mut().zip(&step.reads).for_each(|(place, slot)| *place = cell(slot));
        step.expression.evaluate_cells(&few[..step.reads.len()], t)
    }
}

impl ComputedCells {
    /// How many entity rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// What the expression of a step gave in a row, before its default. `step` is below the plan's number of steps, and
    /// `row` below [`ComputedCells::rows`].
    pub fn cell(&self, step: usize, row: usize) -> &Cell {
        &self.cells[row * self.steps + step]
    }

    /// The value that is answered for a step in a row, after its default, with its status: PRESENT, NULL or ERROR. A
    /// computed value has no event instant.
    pub fn answered<'a>(
        &'a self,
        plan: &'a OnDemandPlan,
        step: usize,
        row: usize,
    ) -> (Option<&'a Value>, Status) {
        plan.steps[step].answered(self.cell(step, row))
    }
}
