//! The suite of the trait: on one server, and on a cluster of three.

mod single {
    use crate::servers::Single;
    asof_online::online_store_suite!(Single::new);
}

mod cluster {
    use crate::servers::Cluster;
    asof_online::online_store_suite!(Cluster::new);
}
