//! The engine alone: what a task costs when nobody guards against it. The settings are the best that were found; see
//! `engine.rs` of the sandbox for what each is for.

#![allow(missing_docs, unreachable_pub, reason = "generated code")]

use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

wasmtime::component::bindgen!({
    path: "../../../wit",
    world: "handler",
    imports: { default: trappable },
    exports: { default: async },
});

use self::sunaba::task::{host, types};

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl types::Host for State {}

impl host::Host for State {
    fn log(&mut self, _: host::Level, _: String, _: Vec<(String, String)>) -> wasmtime::Result<()> {
        Ok(())
    }

    fn progress(&mut self, _: Option<f64>, _: String) -> wasmtime::Result<()> {
        Ok(())
    }

    fn is_cancelled(&mut self) -> wasmtime::Result<bool> {
        Ok(false)
    }

    fn remaining(&mut self) -> wasmtime::Result<host::RemainingBudget> {
        Ok(host::RemainingBudget { fuel: None, time_ms: None })
    }

    fn submit(&mut self, _: types::Child) -> wasmtime::Result<Result<String, types::Refusal>> {
        Ok(Err(no_store()))
    }

    fn dependency_outputs(
        &mut self,
        _: String,
        _: Option<String>,
    ) -> wasmtime::Result<Result<host::EndedPage, types::Refusal>> {
        Ok(Err(no_store()))
    }

    fn checkpoint(&mut self, _: Vec<u8>) -> wasmtime::Result<Result<(), types::Refusal>> {
        Ok(Err(no_store()))
    }

    fn last_checkpoint(&mut self) -> wasmtime::Result<Result<Option<Vec<u8>>, types::Refusal>> {
        Ok(Err(no_store()))
    }

    fn completion_token(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(None)
    }
}

fn no_store() -> types::Refusal {
    types::Refusal { kind: types::RefusalKind::Unavailable, message: "there is no store".into() }
}

pub(crate) struct Bare {
    engine: Engine,
    handler: HandlerPre<State>,
    runtime: tokio::runtime::Runtime,
}

impl Bare {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut pool = PoolingAllocationConfig::default();
        pool.total_component_instances(33)
            .total_stacks(33)
            .total_core_instances(33 * 64)
            .total_memories(33 * 16)
            .total_tables(33 * 32)
            .max_unused_warm_slots(33)
            .pagemap_scan(Enabled::Auto)
            .linear_memory_keep_resident(2 << 20)
            .table_keep_resident(2 << 20);
        let mut config = Config::new();
        config.concurrency_support(false).allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config).expect("there is room");
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("linked");
        host::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state).expect("linked");
        let component = Component::new(&engine, bytes).expect("a component");
        let handler = HandlerPre::new(linker.instantiate_pre(&component).expect("it links")).expect("a handler");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Self { engine, handler, runtime }
    }

    pub(crate) fn run(&self, tasks: usize) {
        self.runtime.block_on(async {
            for _ in 0..tasks {
                let state = State { wasi: WasiCtx::builder().build(), table: ResourceTable::new() };
                let mut store = Store::new(&self.engine, state);
                let instance = self.handler.instantiate_async(&mut store).await.expect("there is a slot");
                let (context, input) = (context(), crate::input());
                let payload = types::Payload { media_type: input.media_type, bytes: input.bytes.to_vec() };
                let handlers = instance.sunaba_task_handlers();
                let returned = handlers.call_run(&mut store, &context, "hello", &payload).await.expect("no trap");
                assert!(matches!(returned, Ok(types::Outcome::Complete(_))));
            }
        });
    }
}

fn context() -> types::Context {
    types::Context {
        task_id: "019b76da-a800-7000-bfff-ffffffffffff".into(),
        job_id: None,
        queue: "default".into(),
        attempt: 1,
        failures: 0,
        max_attempts: 4,
        submitted_at_ms: 1,
        started_at_ms: 2,
        deadline_ms: Some(3),
        idempotency_key: None,
        attributes: Vec::new(),
    }
}
