"""Geometry that is usable alone: no network, no training code.

| module | what is in it |
|---|---|
| `mesh` | `surface_mesh(grid)`: an SDF grid to a finished mesh, and the steps it is made of |
| `isosurface` | finer grids (tricubic) and the closed surface of a grid |
| `export` | meshes to .obj .glb .stl .ply .3mf, and users' files back, both checked |
| `pointcloud` | points sampled on a surface, normalised clouds |
| `distances` | Chamfer and earth mover's distances between shapes |
| `metrics` | 1-NNA, coverage, MMD, JSD of sets of shapes; F-score, normal consistency of two |
| `sdf` | a mesh to its SDF grid |
| `neighbors` | farthest points and nearest neighbours |
| `characters` | what is seen of a surface from outside, how thick a limb is at a joint |
| `skeleton` | travelled points to joints, joints to a tree |
| `joint_names` | names for the joints of humanoids |
| `skinning` | skinning weights of a mesh, and poses |
| `rigged_glb` | mesh, skeleton and skin to a .glb |
| `skeleton_metrics` | CD-J2J, IoU, precision and recall of joints |

Only numpy and torch are imported with these modules; open3d, trimesh, manifold3d are imported by
the function that needs them.
"""
