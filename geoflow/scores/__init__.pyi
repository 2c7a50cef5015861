from .distances import chamfer_matrices as chamfer_matrices
from .distances import chamfer_matrix as chamfer_matrix
from .distances import mean_nearest as mean_nearest
from .sets import Matrix as Matrix
from .sets import coverage_mmd as coverage_mmd
from .sets import f_score as f_score
from .sets import one_nna as one_nna
