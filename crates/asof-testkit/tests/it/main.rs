//! The kit tests itself: the case files against the oracle, the forms of case files, and the worlds it draws.

mod case_files;
mod case_form;
mod worlds;
