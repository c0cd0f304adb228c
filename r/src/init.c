/* The routines of the package. */
#include "covertree_r.h"

#include <R_ext/Rdynload.h>

#define ROUTINE(name, n_arguments) {#name, (DL_FUNC)&name, n_arguments}

static const R_CallMethodDef routines[] = {
    ROUTINE(ctr_version, 0),
    ROUTINE(ctr_threads, 1),
    ROUTINE(ctr_free, 1),
    ROUTINE(ctr_is_empty, 1),
    ROUTINE(ctr_tree_build, 2),
    ROUTINE(ctr_residual_build, 2),
    ROUTINE(ctr_residual_extend, 2),
    ROUTINE(ctr_knn, 5),
    ROUTINE(ctr_radius, 3),
    ROUTINE(ctr_maxmin_order, 2),
    ROUTINE(ctr_spread_sample, 4),
    ROUTINE(ctr_brisc, 2),
    ROUTINE(ctr_vif_build, 4),
    ROUTINE(ctr_vif_with_parameters, 2),
    ROUTINE(ctr_vif_log_likelihood, 3),
    ROUTINE(ctr_vif_solve, 2),
    ROUTINE(ctr_vif_predict, 4),
    ROUTINE(ctr_vif_predict_jointly, 6),
    ROUTINE(ctr_vif_draw, 5),
    ROUTINE(ctr_vif_info, 1),
    {NULL, NULL, 0},
};

void R_init_covertree(DllInfo *library) {
  if (covertree_abi_version() != COVERTREE_ABI_VERSION)
    Rf_error("libcovertree: expected ABI version %d, got %u", COVERTREE_ABI_VERSION, covertree_abi_version());
  R_registerRoutines(library, NULL, routines, NULL, NULL);
  R_useDynamicSymbols(library, FALSE);
  R_forceSymbols(library, TRUE);
}
