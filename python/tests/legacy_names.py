"""What covertreex 0.4.5 showed: names of its modules, and of its classes. Facts, as its wheel has them."""

#: Public names by module.
MODULES = {
    "covertreex": """
        BaselineCoverTree BaselineNode CoverTree EngineCoverTree ExternalCoverTreeBaseline
        GPBoostCoverTreeBaseline Kernel Matern52 MlpackCoverTreeBaseline PCCT PCCTree RBF Residual
        ResidualCorrHostData ResidualCoverTree Runtime TreeBackend TreeLogStats __version__
        available_metrics build_tree configure_residual_correlation configure_residual_metric cover_tree
        get_engine get_metric has_external_cover_tree has_gpboost_cover_tree has_mlpack_cover_tree
        reset_residual_metric
    """,
    "covertreex.algo": """
        BatchDeletePlan BatchInsertPlan BatchInsertTimings ConflictGraph ConflictGraphTimings
        GroupByResult MISResult PrefixBatchGroup PrefixBatchResult TraversalResult TraversalTimings
        batch_delete batch_insert batch_insert_prefix_doubling batch_mis_seeds build_conflict_graph
        group_by_int plan_batch_delete plan_batch_insert run_mis select_topk_by_level
        traverse_collect_scopes
    """,
    "covertreex.algo.batch": """
        BatchInsertPlan BatchInsertTimings LevelSummary PrefixBatchGroup PrefixBatchResult batch_insert
        batch_insert_prefix_doubling plan_batch_insert
    """,
    "covertreex.algo.batch.insert": "batch_insert batch_insert_prefix_doubling plan_batch_insert",
    "covertreex.algo.batch.types": """
        BatchInsertPlan BatchInsertTimings LevelSummary PrefixBatchGroup PrefixBatchResult
    """,
    "covertreex.algo.batch_delete": """
        BatchDeletePlan DeleteLevelSummary batch_delete plan_batch_delete
    """,
    "covertreex.algo.batch_insert": """
        BatchInsertPlan BatchInsertTimings LevelSummary PrefixBatchGroup PrefixBatchResult batch_insert
        batch_insert_prefix_doubling plan_batch_insert
    """,
    "covertreex.algo.batch_order": "BatchOrderResult compute_batch_order",
    "covertreex.algo.conflict": """
        ConflictGraph ConflictGraphTimings build_conflict_graph load_conflict_plugins
    """,
    "covertreex.algo.conflict.base": """
        ConflictGraph ConflictGraphContext ConflictGraphStrategy ConflictGraphTimings
    """,
    "covertreex.algo.conflict.builders": "AdjacencyBuild",
    "covertreex.algo.conflict.runner": "build_conflict_graph",
    "covertreex.algo.conflict.strategies": """
        deregister_conflict_strategy describe_conflict_strategies register_conflict_strategy
        registered_conflict_strategies select_conflict_strategy
    """,
    "covertreex.algo.mis": "MISResult batch_mis_seeds run_mis",
    "covertreex.algo.order": """
        BatchOrderResult choose_prefix_factor compute_batch_order prefix_slices prepare_batch_points
    """,
    "covertreex.algo.order.helpers": "choose_prefix_factor prefix_slices prepare_batch_points",
    "covertreex.algo.order.strategy": "BatchOrderResult compute_batch_order",
    "covertreex.algo.semisort": "GroupByResult group_by_int select_topk_by_level",
    "covertreex.algo.traverse": """
        ResidualTraversalCache TraversalResult TraversalStrategy TraversalTimings
        compute_residual_pairwise_matrix traverse_collect_scopes
    """,
    "covertreex.algo.traverse.base": """
        ResidualTraversalCache TraversalResult TraversalStrategy TraversalTimings
    """,
    "covertreex.algo.traverse.runner": """
        ResidualTraversalCache TraversalResult TraversalTimings traverse_collect_scopes
    """,
    "covertreex.algo.traverse.strategies": """
        register_traversal_strategy registered_traversal_strategies select_traversal_strategy
    """,
    "covertreex.algo.traverse.strategies.registry": """
        deregister_traversal_strategy describe_traversal_strategies register_traversal_strategy
        registered_traversal_strategies select_traversal_strategy
    """,
    "covertreex.api": "CoverTree PCCT Residual Runtime",
    "covertreex.api.factory": "BuiltCoverTree cover_tree",
    "covertreex.api.pcct": "CoverTree PCCT",
    "covertreex.api.runtime": "Residual Runtime",
    "covertreex.baseline": """
        BaselineCoverTree BaselineNode ExternalCoverTreeBaseline GPBoostCoverTreeBaseline
        MlpackCoverTreeBaseline ScikitLearnBaseline ScipyBaseline has_external_cover_tree
        has_gpboost_cover_tree has_mlpack_cover_tree has_scipy_baseline has_sklearn_baseline
    """,
    "covertreex.config": """
        RuntimeConfig RuntimeContext configure_runtime current_runtime_context describe_runtime
        reset_runtime_config_cache reset_runtime_context runtime_config runtime_context
        set_runtime_context
    """,
    "covertreex.core": """
        DEFAULT_JOURNAL_POOL JournalScratchPool Metric MetricRegistry PCCTree PersistenceJournal
        SliceUpdate TreeBackend TreeLogStats apply_persistence_journal available_metrics
        build_persistence_journal clone_array_segment clone_tree_with_updates configure_residual_metric
        get_metric get_runtime_backend reset_residual_metric
    """,
    "covertreex.core.metrics": """
        Metric MetricRegistry available_metrics configure_residual_metric get_metric reset_residual_metric
    """,
    "covertreex.core.persistence": """
        DEFAULT_JOURNAL_POOL JournalScratchPool PersistenceJournal SliceUpdate apply_persistence_journal
        build_persistence_journal clone_array_segment clone_tree_with_updates
    """,
    "covertreex.core.tree": """
        PCCTree TreeBackend TreeLogStats compute_level_offsets get_runtime_backend
    """,
    "covertreex.diagnostics": "OperationMetrics log_operation",
    "covertreex.engine": """
        CoverTree DEFAULT_ENGINE PythonNumbaEngine RustHilbertEngine RustHybridResidualEngine
        RustNaturalEngine SUPPORTED_ENGINES TreeEngine build_tree get_engine
    """,
    "covertreex.exceptions": "ResidualPairwiseCacheError",
    "covertreex.kernels": "Kernel Matern52 RBF",
    "covertreex.logging": "get_logger",
    "covertreex.metrics": """
        ResidualCorrHostData build_residual_backend compute_residual_distance_single
        compute_residual_distances compute_residual_distances_from_kernel
        compute_residual_distances_with_kernel compute_residual_distances_with_radius
        compute_residual_lower_bounds_from_kernel configure_residual_correlation decode_indices
        get_residual_backend set_residual_backend
    """,
    "covertreex.metrics.residual": """
        ResidualCorrHostData ResidualDistanceTelemetry ResidualScopeCapRecorder ResidualScopeCaps
        ResidualWorkspace build_fast_residual_tree build_residual_backend compute_residual_distance_single
        compute_residual_distances compute_residual_distances_block_no_gate
        compute_residual_distances_from_kernel compute_residual_distances_with_kernel
        compute_residual_distances_with_radius compute_residual_lower_bounds_from_kernel
        compute_residual_pairwise_matrix configure_residual_correlation decode_indices
        get_residual_backend get_scope_cap_table reset_scope_cap_cache set_residual_backend
    """,
    "covertreex.metrics.residual.core": """
        ResidualCorrHostData ResidualDistanceTelemetry ResidualWorkspace compute_residual_distance_single
        compute_residual_distances compute_residual_distances_block_no_gate
        compute_residual_distances_from_kernel compute_residual_distances_with_kernel
        compute_residual_distances_with_radius compute_residual_lower_bounds_from_kernel
        compute_residual_pairwise_matrix configure_residual_correlation decode_indices
        get_residual_backend set_residual_backend
    """,
    "covertreex.metrics.residual.fast_build": "build_fast_residual_tree",
    "covertreex.metrics.residual.host_backend": "build_residual_backend",
    "covertreex.metrics.residual.scope_caps": """
        ResidualScopeCapRecorder ResidualScopeCaps get_scope_cap_table reset_scope_cap_cache
    """,
    "covertreex.plugins": "conflict metrics traversal",
    "covertreex.plugins.conflict": """
        deregister_conflict_strategy list_plugins load_entrypoints register_conflict_strategy
    """,
    "covertreex.plugins.metrics": "list_metrics load_entrypoints",
    "covertreex.plugins.traversal": """
        deregister_traversal_strategy list_plugins load_entrypoints register_traversal_strategy
    """,
    "covertreex.queries": "knn nearest_neighbor",
    "covertreex.queries.knn": "knn nearest_neighbor",
    "covertreex.residual_tree": "ResidualCoverTree",
    "covertreex.runtime": """
        DiagnosticsConfig OperationMetrics ResidualConfig RuntimeConfig RuntimeContext RuntimeModel
        SeedPack configure_runtime current_runtime_context describe_runtime get_logger
        reset_runtime_config_cache reset_runtime_context runtime_config runtime_context
        set_runtime_context
    """,
    "covertreex.runtime.config": """
        RuntimeConfig RuntimeContext configure_runtime current_runtime_context describe_runtime
        reset_runtime_config_cache reset_runtime_context runtime_config runtime_context
        set_runtime_context
    """,
    "covertreex.runtime.diagnostics": "OperationMetrics log_operation",
    "covertreex.runtime.logging": "get_logger",
    "covertreex.runtime.model": "DiagnosticsConfig ResidualConfig RuntimeModel SeedPack",
    "covertreex.telemetry": """
        BATCH_OPS_RESULT_SCHEMA BATCH_OPS_RESULT_SCHEMA_ID BENCHMARK_BATCH_JSON_SCHEMA
        BENCHMARK_BATCH_SCHEMA_ID BENCHMARK_BATCH_SCHEMA_VERSION BenchmarkBatchRecord BenchmarkLogWriter
        RESIDUAL_SCOPE_CAP_SCHEMA RESIDUAL_SCOPE_CAP_SCHEMA_ID RESIDUAL_SCOPE_CAP_SCHEMA_VERSION
        RUNTIME_BREAKDOWN_CHUNK_FIELDS RUNTIME_BREAKDOWN_FIELDNAMES RUNTIME_BREAKDOWN_SCHEMA
        RUNTIME_BREAKDOWN_SCHEMA_ID ResidualScopeCapRecorder artifact_root build_rust_plan generate_run_id
        record_rust_batch resolve_artifact_path runtime_breakdown_fieldnames timestamped_artifact
    """,
    "covertreex.telemetry.artifacts": """
        artifact_root generate_run_id resolve_artifact_path timestamped_artifact
    """,
    "covertreex.telemetry.logs": "BenchmarkLogWriter ResidualScopeCapRecorder",
    "covertreex.telemetry.rust_bridge": "build_rust_plan record_rust_batch",
    "covertreex.telemetry.schemas": """
        BATCH_OPS_RESULT_SCHEMA BATCH_OPS_RESULT_SCHEMA_ID BENCHMARK_BATCH_JSON_SCHEMA
        BENCHMARK_BATCH_SCHEMA_ID BENCHMARK_BATCH_SCHEMA_VERSION BenchmarkBatchRecord
        RESIDUAL_GATE_PROFILE_SCHEMA RESIDUAL_GATE_PROFILE_SCHEMA_ID RESIDUAL_GATE_PROFILE_SCHEMA_VERSION
        RESIDUAL_SCOPE_CAP_SCHEMA RESIDUAL_SCOPE_CAP_SCHEMA_ID RESIDUAL_SCOPE_CAP_SCHEMA_VERSION
        RUNTIME_BREAKDOWN_CHUNK_FIELDS RUNTIME_BREAKDOWN_FIELDNAMES RUNTIME_BREAKDOWN_SCHEMA
        RUNTIME_BREAKDOWN_SCHEMA_ID runtime_breakdown_fieldnames
    """,
}

#: Public members of classes at the top.
MEMBERS = {
    "CoverTree": """
        delete dimension fit insert knn nearest num_points tree
    """,
    "Runtime": """
        activate backend batch_order batch_order_seed conflict_graph degree_cap describe devices diagnostics
        enable_numba enable_rust enable_sparse_traversal engine from_active from_config from_profile
        global_seed log_level metric mis_seed precision prefix_density_high prefix_density_low
        prefix_growth_large prefix_growth_mid prefix_growth_small prefix_schedule residual
        residual_dense_scope_streamer residual_dynamic_query_block residual_grid_seed
        residual_level_cache_batching residual_masked_scope_append residual_scope_bitset
        residual_scope_member_limit residual_stream_tile residual_use_static_euclidean_tree
        scope_chunk_max_segments scope_chunk_target scope_segment_dedupe to_config to_model with_updates
    """,
    "Residual": """
        as_overrides from_config radius_floor scope_cap_default scope_cap_path
    """,
    "Kernel": """
        kernel_type
    """,
    "RBF": """
        kernel_type lengthscale variance
    """,
    "Matern52": """
        kernel_type lengthscale variance
    """,
    "ResidualCoverTree": """
        build_time coords knn n_points
    """,
    "PCCT": """
        delete dimension fit insert knn nearest num_points tree
    """,
    "EngineCoverTree": """
        backend build_seconds knn
    """,
    "PCCTree": """
        dimension empty is_empty materialise max_scale min_scale num_levels num_points replace to_backend
        validate
    """,
    "TreeBackend": """
        array default_float default_int device_put empty gpu jax numpy ones to_numpy zeros
    """,
    "TreeLogStats": """
        as_dict num_batches num_conflicts_resolved num_deletions num_insertions
    """,
    "ResidualCorrHostData": """
        chunk_size kernel_diag_f64 kernel_diag_view kernel_points_f32 kernel_row_norms_f32 num_points
        p_diag_f64 p_diag_view point_decoder rank scope_cap_output_path scope_cap_recorder scope_caps
        v_matrix_f64 v_matrix_view v_norm_sq
    """,
    "BaselineCoverTree": """
        distance_count from_points insert_point knn nearest root_id
    """,
    "ExternalCoverTreeBaseline": """
        from_points knn nearest num_points
    """,
    "GPBoostCoverTreeBaseline": """
        from_points knn nearest num_points
    """,
    "MlpackCoverTreeBaseline": """
        from_points knn nearest num_points
    """,
}

#: Modules among these that are packages.
PACKAGES = """
    covertreex covertreex.algo covertreex.algo.batch covertreex.algo.conflict covertreex.algo.order
    covertreex.algo.traverse covertreex.algo.traverse.strategies covertreex.api covertreex.core covertreex.metrics
    covertreex.metrics.residual covertreex.plugins covertreex.queries covertreex.runtime covertreex.telemetry
"""

#: Names in its README and on its API page.
DOCUMENTED = """
    CoverTree Matern52 PCCT RBF Residual Runtime RuntimeContext RuntimeModel available_profiles batch_insert cover_tree
    register_conflict_strategy register_traversal_strategy traverse_collect_scopes
"""

#: Internal names, which are not here, by the rule in docs/migration.md: names with a leading underscore, and those that
#: none of the packages exports and its pages do not mention.
INTERNAL = {
    "covertreex.algo.batch.insert": "LOGGER",
    "covertreex.algo.batch_delete": "LOGGER",
    "covertreex.algo.conflict.arena": """
        ConflictArena ScopeBuilderArena get_conflict_arena get_scope_builder_arena
    """,
    "covertreex.algo.conflict.builders": """
        block_until_ready build_dense_adjacency build_grid_adjacency build_residual_adjacency
        build_segmented_adjacency
    """,
    "covertreex.algo.conflict.runner": "RESIDUAL_FILTER_EPS",
    "covertreex.algo.conflict.strategies": "LOGGER",
    "covertreex.algo.mis": "DEGREE_THRESHOLD",
    "covertreex.algo.traverse.base": """
        block_until_ready broadcast_batch collect_distances empty_result
    """,
    "covertreex.algo.traverse.strategies.common": "_collect_next_chain",
    "covertreex.algo.traverse.strategies.euclidean": """
        _EuclideanDenseTraversal _EuclideanSparseTraversal
    """,
    "covertreex.algo.traverse.strategies.residual": "_ResidualTraversal",
    "covertreex.core.tree": "ArrayLike LOGGER",
    "covertreex.queries.knn": "LOGGER",
    "covertreex.queries.residual_knn": "residual_knn_query",
    "covertreex.queries.utils": "ChildChainCache to_numpy_array",
}

#: Modules outside its package, and where their names are here.
MOVED = {
    "profiles": ("covertreex.legacy.profiles", """
        OverrideError ProfileDefinition ProfileError ProfileFormatError ProfileMetadata ProfileNotFoundError
        apply_overrides_to_model available_profiles load_profile load_profile_definition
        parse_override_expression parse_override_expressions
    """),
    "cli.pcct": ("covertreex.legacy.command", "main"),
}  # fmt: skip

#: Its environment variables, without COVERTREEX_: those that say something here, and the others.
MEANT = "ARTIFACT_ROOT PRECISION BATCH_ORDER MIS_SEED GLOBAL_SEED ENABLE_DIAGNOSTICS LOG_LEVEL ENGINE METRIC"
UNUSED = """
    BACKEND BATCH_ORDER_SEED CONFLICT_GRAPH_IMPL DEGREE_CAP DEVICE ENABLE_NUMBA ENABLE_RUST
    ENABLE_SPARSE_TRAVERSAL PREFIX_DENSITY_HIGH PREFIX_DENSITY_LOW PREFIX_GROWTH_LARGE PREFIX_GROWTH_MID
    PREFIX_GROWTH_SMALL PREFIX_SCHEDULE RESIDUAL_BUDGET_DOWN RESIDUAL_BUDGET_SCHEDULE RESIDUAL_BUDGET_UP
    RESIDUAL_DENSE_SCOPE_STREAMER RESIDUAL_DISABLE_FAST_PATHS RESIDUAL_DYNAMIC_QUERY_BLOCK
    RESIDUAL_FORCE_F32_MATH RESIDUAL_GRID_SEED RESIDUAL_GRID_WHITEN_SCALE RESIDUAL_LEVEL_CACHE_BATCHING
    RESIDUAL_MASKED_SCOPE_APPEND RESIDUAL_PARITY RESIDUAL_PREFILTER RESIDUAL_PREFILTER_AUDIT
    RESIDUAL_PREFILTER_LOOKUP_PATH RESIDUAL_PREFILTER_MARGIN RESIDUAL_PREFILTER_RADIUS_CAP
    RESIDUAL_RADIUS_FLOOR RESIDUAL_SCOPE_BITSET RESIDUAL_SCOPE_CAPS_PATH RESIDUAL_SCOPE_CAP_DEFAULT
    RESIDUAL_SCOPE_CAP_MARGIN RESIDUAL_SCOPE_CAP_OUTPUT RESIDUAL_SCOPE_CAP_PATH RESIDUAL_SCOPE_CAP_PERCENTILE
    RESIDUAL_SCOPE_MEMBER_LIMIT RESIDUAL_STREAM_TILE RESIDUAL_USE_STATIC_EUCLIDEAN_TREE RESIDUAL_VISITED_SET
    RUST_DEBUG_STATS RUST_PCCT2_SGEMM RUST_PRUNE_BOUNDS RUST_QUERY_TELEMETRY RUST_SGEMM_BLOCK
    RUST_SURVIVOR_LIMIT SCOPE_BUDGET_DOWN_THRESH SCOPE_BUDGET_SCHEDULE SCOPE_BUDGET_UP_THRESH
    SCOPE_CHUNK_MAX_SEGMENTS SCOPE_CHUNK_PAIR_MERGE SCOPE_CHUNK_TARGET SCOPE_CONFLICT_BUFFER_REUSE
    SCOPE_SEGMENT_DEDUP
"""
